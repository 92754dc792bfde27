"""Where the queries of a decoder start: learnt and the same for every frame, or where the ground shows something."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.geometry import inverse_sigmoid, widened
from lightloom.tasks.detection3d.sizes import Detector3DConfig

Source = Tensor | CameraMaps
"""What queries look at: a BEV map [B, C, rows, columns], or cameras."""

_RARE = 0.01


class InitialQueries(NamedTuple):
    """Queries before the first layer."""

    query: Tensor
    """Features of the queries [B, Q, C]."""
    position: Tensor
    """Embeddings that tell the queries apart [Q, C] or [B, Q, C]."""
    references: Tensor
    """Places of the queries, 0 ... 1 within the area [B, Q, 3]."""
    heat: Tensor | None
    """Class logits of the cells of the ground [B, classes, rows, columns], where they decided."""


def class_bias(layer: nn.Linear | nn.Conv2d) -> None:
    """Let a layer of class logits begin with a chance of 1 % for each (Lin et al., ICCV 2017)."""
    assert layer.bias is not None
    nn.init.constant_(layer.bias, -math.log(1 / _RARE - 1))


class LearntQueries(nn.Module):
    """The same queries for every frame, each with a place of its own (Deformable DETR; DETR3D and BEVFormer).

    Args:
        config: Channels and queries.
    """

    def __init__(self, config: Detector3DConfig) -> None:
        super().__init__()
        self.content = nn.Parameter(torch.randn(config.queries, config.channels))
        self.position = nn.Parameter(torch.randn(config.queries, config.channels))
        self.place = nn.Linear(config.channels, 3)
        nn.init.xavier_uniform_(self.place.weight)
        nn.init.zeros_(self.place.bias)

    def forward(self, source: Source) -> InitialQueries:
        """Queries for the samples of `source`."""
        samples = len(source.project) if isinstance(source, CameraMaps) else len(source)
        references = widened(self.place(self.position)).sigmoid()
        return InitialQueries(
            self.content.expand(samples, -1, -1), self.position, references.expand(samples, -1, -1), None
        )


class BEVQueries(nn.Module):
    """Queries from the cells of the ground that look most like a box: what the map says there, and where that is.

    A head of two convolutions tells how likely a box of each class has its centre in a cell. No gradient goes through
    the choice. Two stages are those of Deformable DETR (Zhu et al., ICLR 2021) and TransFusion (Bai et al., CVPR 2022).

    Args:
        config: Channels, queries, rows and columns.
        classes: How many there are to tell apart.
    """

    def __init__(self, config: Detector3DConfig, classes: int) -> None:
        super().__init__()
        width, self.most = config.channels, config.queries
        last = nn.Conv2d(width, classes, 1)
        class_bias(last)
        self.heat = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), last)
        self.content = nn.Linear(width, width)
        self.position = nn.Sequential(nn.Linear(3, width), nn.ReLU(), nn.Linear(width, width))

    def forward(self, source: Source) -> InitialQueries:
        """Queries for the samples of a BEV map."""
        assert isinstance(source, Tensor)
        heat = self.heat(source)
        rows, columns = heat.shape[-2:]
        best = heat.detach().amax(1).flatten(1).topk(min(self.most, rows * columns)).indices  # [B, Q]
        there = source.flatten(2).transpose(1, 2).gather(1, best[..., None].expand(-1, -1, source.shape[1]))
        x, y = (best % columns + 0.5) / columns, (best // columns + 0.5) / rows
        references = torch.stack((x, y, torch.full_like(x, 0.5)), -1)
        return InitialQueries(self.content(there), self.position(inverse_sigmoid(references)), references, heat)
