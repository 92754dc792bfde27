"""What the queries of a decoder see of a teacher's map, and what they would see of a student's by the same aim."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.tasks.detection3d.cross_attention import CameraSampling, GroundSampling
from lightloom.tasks.detection3d.deformable import Aimed
from lightloom.tasks.detection3d.queries import Source
from lightloom.tasks.detection3d.sheet import Sheet, lay_out


class Aim(NamedTuple):
    """Where the queries of one layer look."""

    attention: GroundSampling | CameraSampling
    aimed: Aimed


class Aims(list[Aim]):
    """A recorder: hand it to a decoder, and it holds where each layer aims, without gradients."""

    def __call__(self, layer: int, attention: GroundSampling | CameraSampling, aimed: Aimed) -> None:
        """Keep the aim of one layer."""
        still = aimed._replace(locations=aimed.locations.detach(), weights=aimed.weights.detach())
        self.append(Aim(attention, still))


def seen_by(aims: Aims, source: Source) -> Tensor:
    """What the queries of each layer see of a source [L, B * Q, C], before the output projection.

    Gradients reach the source alone: an attention that could change its values would make any two sources alike by
    making nothing of them.
    """
    return torch.stack([aim.attention.gather(_values(aim.attention, source), aim.aimed) for aim in aims])


def _values(attention: GroundSampling | CameraSampling, source: Source) -> Sheet:
    if isinstance(attention, CameraSampling):
        return attention.project_values(source)
    assert isinstance(source, Tensor)
    project = attention.attention.values
    bias = 0.0 if project.bias is None else project.bias.detach()[:, None]
    seen = project.weight.detach().flatten(1) @ source.flatten(2) + bias
    return lay_out([seen.view(source.shape[0], -1, *source.shape[2:])], attention.attention.heads)
