"""Values that the queries of a decoder sample of a teacher's map, and of a student's at the same locations."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.tasks.detection3d.cross_attention import BEVCrossAttention, CameraCrossAttention
from lightloom.tasks.detection3d.deformable import SamplingLocations
from lightloom.tasks.detection3d.feature_atlas import FeatureAtlas, pack
from lightloom.tasks.detection3d.queries import Source


class RecordedSampling(NamedTuple):
    """Places at which the queries of one layer sample."""

    attention: BEVCrossAttention | CameraCrossAttention
    sampling: SamplingLocations


class SamplingRecorder(list[RecordedSampling]):
    """A recorder: hand it to a decoder, and it holds where each layer samples, without gradients."""

    def __call__(
        self, layer: int, attention: BEVCrossAttention | CameraCrossAttention, sampling: SamplingLocations
    ) -> None:
        """Record the locations of one layer."""
        detached = sampling._replace(locations=sampling.locations.detach(), weights=sampling.weights.detach())
        self.append(RecordedSampling(attention, detached))


def sampled_values(recorded: SamplingRecorder, source: Source) -> Tensor:
    """Values that the queries of each layer sample of a source [L, B * Q, C], before the output projection.

    Gradients reach the source alone: an attention that could change its values would make any two sources alike by
    making nothing of them.

    Args:
        recorded: Locations of each layer of a decoder.
        source: The maps to sample.
    """
    return torch.stack(
        [call.attention.sample_values(_values(call.attention, source), call.sampling) for call in recorded]
    )


def _values(attention: BEVCrossAttention | CameraCrossAttention, source: Source) -> FeatureAtlas:
    if isinstance(attention, CameraCrossAttention):
        return attention.project_values(source)
    assert isinstance(source, Tensor)
    project = attention.attention.values
    bias = 0.0 if project.bias is None else project.bias.detach()[:, None]
    values = project.weight.detach().flatten(1) @ source.flatten(2) + bias
    return pack([values.view(source.shape[0], -1, *source.shape[2:])], attention.attention.heads)
