"""Maps of several images and levels in one atlas, and weighted sums of bilinear samples of it.

In an atlas any number of queries may sample each of the images, and one kernel serves all images and levels. Sums are
made a part of the queries at a time, forward and backward, so that the samples themselves are never held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_PART = {"cpu": 2**19}
"""Samples that are held at a time: on a CPU, as many as its caches hold."""
_PART_ELSEWHERE = 2**27


class FeatureAtlas(NamedTuple):
    """Maps of several images and levels below each other, with a row of zeros under each.

    Single precision finds a place on it to about 1e-7 of its height.
    """

    values: Tensor
    """Values of all maps in one [heads, d, images * rows of an image, widest]."""
    shapes: tuple[tuple[int, int], ...]
    """Rows and columns of each level."""


def pack(maps: Sequence[Tensor], heads: int) -> FeatureAtlas:
    """Maps [images, channels, h, w] of each level, finest first, in one atlas.

    Args:
        maps: [images, channels, h, w] of each level.
        heads: Heads that the channels are shared out to.
    """
    widest = max(level.shape[-1] for level in maps)
    stacked = torch.cat([F.pad(level, (0, widest - level.shape[-1], 0, 1)) for level in maps], 2)
    images, channels, rows, columns = stacked.shape
    split = stacked.view(images, heads, channels // heads, rows, columns).permute(1, 2, 0, 3, 4)
    shapes = tuple((int(level.shape[-2]), int(level.shape[-1])) for level in maps)
    return FeatureAtlas(split.reshape(heads, channels // heads, images * rows, columns), shapes)


def sample(atlas: FeatureAtlas, locations: Tensor, weights: Tensor, image: Tensor) -> Tensor:
    """Weighted sums of bilinear samples; beyond the border of a map there are zeros.

    Gradients of first order go to maps, locations and weights. Half precision is widened first: a location needs more.

    Args:
        atlas: Of `pack`.
        locations: x to the right, y down, 0 ... 1 within the map [heads, levels, points, 2, K].
        weights: [heads, levels, points, K].
        image: The one that each of the K samples [K], long.

    Returns:
        [K, heads * d].
    """
    dtype = torch.promote_types(torch.promote_types(atlas.values.dtype, locations.dtype), torch.float32)
    with torch.autocast(atlas.values.device.type, enabled=False):
        values, locations, weights = (part.to(dtype) for part in (atlas.values, locations, weights))
        mixed: Tensor = _Sample.apply(values, locations, weights, image, atlas.shapes)  # type: ignore[no-untyped-call]
        return mixed.flatten(0, 1).t()


class _Sample(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, values: Tensor, locations: Tensor, weights: Tensor, image: Tensor, shapes: tuple[tuple[int, int], ...]
    ) -> Tensor:
        ctx.save_for_backward(values, locations, weights, image)
        ctx.shapes = shapes
        mixed = values.new_empty(*values.shape[:2], locations.shape[-1])
        for part in _parts(values, locations):
            grid, inside = _on_atlas(values, locations[..., part], image[part], shapes)
            shares = (weights[..., part] * inside).flatten(1, 2).unsqueeze(1)
            torch.sum(_bilinear(values, grid).mul_(shares), 2, out=mixed[..., part])
        return mixed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        values, locations, weights, image = ctx.saved_tensors
        to_values = torch.zeros_like(values) if ctx.needs_input_grad[0] else None
        to_locations = torch.empty_like(locations) if ctx.needs_input_grad[1] else None
        to_weights = torch.empty_like(weights) if ctx.needs_input_grad[2] else None
        for part in _parts(values, locations):
            grid, inside = _on_atlas(values, locations[..., part], image[part], ctx.shapes)
            gradient = upstream[..., part].unsqueeze(2)
            if to_weights is not None:
                products = _bilinear(values, grid).mul_(gradient).sum(1).view_as(inside)
                torch.mul(products, inside, out=to_weights[..., part])
            gradient = gradient * (weights[..., part] * inside).flatten(1, 2).unsqueeze(1)
            more, to_grid = torch.ops.aten.grid_sampler_2d_backward(
                gradient, values, grid, 0, 0, False, (to_values is not None, to_locations is not None)
            )
            if to_values is not None:
                to_values += more
            if to_locations is not None:
                along_levels = to_grid.permute(0, 1, 3, 2).unflatten(1, locations.shape[1:3])
                torch.mul(along_levels, _scale(values, ctx.shapes), out=to_locations[..., part])
        return to_values, to_locations, to_weights, None, None


def _parts(values: Tensor, locations: Tensor) -> Iterator[slice]:
    """Slices of the samplings, of about as many samples as may be held."""
    most = _PART.get(values.device.type, _PART_ELSEWHERE)
    of_one = values.shape[0] * values.shape[1] * locations.shape[1] * locations.shape[2]
    step = max(1, most // of_one)
    return (slice(start, start + step) for start in range(0, locations.shape[-1], step))


def _bilinear(values: Tensor, grid: Tensor) -> Tensor:
    return torch.grid_sampler_2d(values, grid, 0, 0, False)  # bilinear, zeros, corners not aligned


def _scale(values: Tensor, shapes: tuple[tuple[int, int], ...]) -> Tensor:
    """Factor from a map's own 0 ... 1 to the atlas's -1 ... 1 [levels, 1, 2, 1]."""
    height, width = values.shape[-2:]
    return values.new_tensor([(2 * w / width, 2 * h / height) for h, w in shapes])[:, None, :, None]


def _on_atlas(
    values: Tensor, locations: Tensor, image: Tensor, shapes: tuple[tuple[int, int], ...]
) -> tuple[Tensor, Tensor]:
    """Locations within maps as those on the atlas, and which are no more than half a cell above or below their map.

    The others see maps that they must not: what they see has to count for nothing.
    """
    height = values.shape[-2]
    of_an_image = sum(rows + 1 for rows, _ in shapes)
    tops = values.new_tensor([sum(rows + 1 for rows, _ in shapes[:level]) for level in range(len(shapes))])
    first = (tops[:, None] + image.to(values.dtype) * of_an_image) * (2 / height) - 1  # [levels, K]
    shift = torch.stack((torch.full_like(first, -1), first), 1).unsqueeze(1)
    grid = torch.addcmul(shift, locations, _scale(values, shapes))
    reach = values.new_tensor([0.5 + 0.5 / rows for rows, _ in shapes])[:, None, None]
    inside = (locations[..., 1, :] - 0.5).abs_() < reach
    return grid.flatten(1, 2).permute(0, 1, 3, 2), inside
