"""Multi-scale deformable attention (Zhu et al., ICLR 2021): queries look at a few points of several maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightloom.tasks.detection3d.feature_atlas import FeatureAtlas, pack, sample
from lightloom.tasks.detection3d.geometry import widened


class SamplingLocations(NamedTuple):
    """Places of K samplings, and what each counts."""

    locations: Tensor
    """[heads, levels, points, 2, K]: x to the right, y down, 0 ... 1 within the map."""
    weights: Tensor
    """Weights of the samples [heads, levels, points, K]."""
    image: Tensor
    """[K], long: the image that each samples."""
    query: Tensor | None
    """[K], long: the query that it belongs to; None where every query has one sampling, in their order."""
    queries: int
    """How many there are."""


def attend(values: FeatureAtlas, sampling: SamplingLocations) -> Tensor:
    """Weighted sums of samples for each query [queries, channels].

    Args:
        values: The maps to sample.
        sampling: Where, and with which weights.
    """
    samples = sample(values, sampling.locations, sampling.weights, sampling.image)
    if sampling.query is None:
        return samples
    return samples.new_zeros(sampling.queries, samples.shape[1]).index_add(0, sampling.query, samples)


class DeformableAttention(nn.Module):
    """Attention of queries to a few points of maps, in separate steps.

    `sampling_locations` says where queries sample, `project_values` makes the values, `sample_values` samples them. The
    same locations may serve the values of two sets of maps.

    Args:
        channels: Of maps and outputs.
        heads: That the channels are shared out to.
        levels: Of the maps.
        points: Of each level and head; a multiple of the references that `sampling_locations` is given.
        width: Channels of the queries; None has them as wide as the maps.
        apart: The points of a level share one weight out among them, and levels count alike; without, all points of
            all levels share one.
    """

    def __init__(
        self, channels: int, heads: int, levels: int, points: int, width: int | None = None, *, apart: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.levels, self.points, self.apart = heads, levels, points, apart
        self.offsets = nn.Linear(width or channels, heads * levels * points * 2)
        self.weigh = nn.Linear(width or channels, heads * levels * points)
        self.values = nn.Conv2d(channels, channels, 1)
        self.output = nn.Linear(channels, channels)
        self._start()

    def _start(self) -> None:
        """Set the offsets as published: heads look in directions all around, points further and further, all alike."""
        angles = torch.arange(self.heads) * (2 * math.pi / self.heads)
        directions = torch.stack((angles.cos(), angles.sin()), -1)
        directions = directions / directions.abs().amax(-1, keepdim=True)
        steps = torch.arange(1, self.points + 1)
        offsets = (directions[:, None, None] * steps[:, None]).expand(self.heads, self.levels, self.points, 2)
        with torch.no_grad():
            self.offsets.bias.copy_(offsets.flatten())
            for layer in (self.values, self.output):
                nn.init.xavier_uniform_(layer.weight)
                layer.bias.zero_()  # type: ignore[union-attr]
            for zero in (self.weigh.weight, self.weigh.bias, self.offsets.weight):
                zero.zero_()

    def sampling_locations(
        self,
        query: Tensor,
        references: Tensor,
        shapes: Sequence[tuple[int, int]],
        image: Tensor,
        *,
        rows: Tensor | None = None,
        queries: int | None = None,
    ) -> SamplingLocations:
        """Locations that queries sample, and their weights.

        Args:
            query: [K, width].
            references: Points that the samples are around, 0 ... 1 within the maps [K, R, levels, 2], or [K, R, 1, 2]
                where they are the same in all levels; points take turns at them.
            shapes: Rows and columns of each level; offsets are in cells.
            image: The one that each samples [K].
            rows: The query that each sampling belongs to [K]; None where every query has one.
            queries: How many queries there are; needed with `rows`.
        """
        count = len(query)
        parts = (self.heads, self.levels, self.points)
        # all samplings last: what follows runs along them
        offsets = widened(_transposed(self.offsets, query)).view(*parts, 2, count)  # half precision knows no cells
        cells = offsets.new_tensor([(1 / w, 1 / h) for h, w in shapes])[:, None, :, None]
        around = references.permute(2, 1, 3, 0).contiguous()  # [levels, R, 2, K]
        around = around.repeat(1, self.points // around.shape[1], 1, 1).to(offsets.dtype)
        scores = _transposed(self.weigh, query)
        sharing = (self.levels, self.points) if self.apart else (1, self.levels * self.points)
        weights = scores.view(self.heads, *sharing, count).softmax(2)
        if self.apart:
            weights = weights / self.levels
        locations = torch.addcmul(around, offsets, cells)
        return SamplingLocations(
            locations, weights.view(*parts, count), image, rows, count if queries is None else queries
        )

    def project_values(self, maps: Sequence[Tensor]) -> FeatureAtlas:
        """Values to sample, of maps [images, channels, h, w] of each level."""
        return pack([self.values(level) for level in maps], self.heads)

    def sample_values(self, values: FeatureAtlas, sampling: SamplingLocations) -> Tensor:
        """Weighted sums of samples for each query [queries, channels], before the output projection.

        Args:
            values: Values of `project_values`.
            sampling: Locations of `sampling_locations`.
        """
        return attend(values, sampling)


def _transposed(layer: nn.Linear, x: Tensor) -> Tensor:
    """The layer's output for [K, in] as [out, K]."""
    return torch.addmm(layer.bias.unsqueeze(1), layer.weight, x.t())
