"""The encoder of BEVFormer: a BEV map from the cameras, and from the map of the moment before."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.tasks.detection3d.camera_attention import CameraAttention, pillars
from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.cross_attention import too_many
from lightloom.tasks.detection3d.geometry import Hits
from lightloom.tasks.detection3d.sizes import Detector3DConfig
from lightloom.tasks.detection3d.temporal import TemporalAttention, warp

_FAINT = 0.1
"""Deviation of what tells cameras and levels apart at first; published is 1, which drowns what the maps show."""


class PreviousBEV(NamedTuple):
    """What is known of the moment before."""

    bev: Tensor
    """BEV map of the moment before [B, C, rows, columns]."""
    motion: Tensor
    """Transform of points of the present ego frame to that of the moment before [B, 4, 4]."""
    linked: Tensor
    """Whether a sample has a moment before [B], bool."""


class EncoderLayer(nn.Module):
    """Cells look around themselves and at the moment before, then into the cameras, then think.

    Args:
        config: Channels, heads, points, levels, feed-forward width, dropout, and whether there is a moment before.
    """

    def __init__(self, config: Detector3DConfig) -> None:
        super().__init__()
        width, dropout = config.channels, config.dropout
        self.around = TemporalAttention(width, config.heads, config.ground_points, dropout)
        self.cameras = CameraAttention(width, config.heads, config.levels, config.points, dropout)
        self.think = nn.Sequential(
            nn.Linear(width, config.feedforward), nn.ReLU(), nn.Dropout(dropout), nn.Linear(config.feedforward, width),
            nn.Dropout(dropout),
        )  # fmt: skip
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(self, cells: Tensor, scene: Scene) -> Tensor:
        """Cells after one layer [B, cells, C].

        Args:
            cells: [B, cells, C].
            scene: What all layers share.
        """
        cells = self.norms[0](self.around(cells, scene.position, scene.before, scene.linked, scene.shape))
        cells = self.norms[1](self.cameras(cells, scene.position, scene.cameras, scene.hits, scene.places))
        thought: Tensor = self.norms[2](cells + self.think(cells))
        return thought


class Scene(NamedTuple):
    """What all layers of an encoder share."""

    position: Tensor
    """Position embeddings of the cells [cells, C]."""
    before: Tensor | None
    """Cells of the moment before, as they lie now [B, cells, C]."""
    linked: Tensor
    """Whether a sample has a moment before [B], bool."""
    cameras: CameraMaps
    hits: Hits
    """Hits of the pillars over the cells in the cameras."""
    places: Tensor
    """Places of the hits in each level [K, pillars, levels, 2]."""
    shape: tuple[int, int]
    """Rows and columns of the BEV map."""


class Encoder(nn.Module):
    """Learnt cells of the ground, and the layers that they go through.

    Args:
        config: Everything but the decoder.
    """

    pillars: Tensor

    def __init__(self, config: Detector3DConfig) -> None:
        super().__init__()
        self.config = config
        width, shape = config.channels, (config.rows, config.columns)
        self.cells = nn.Parameter(torch.randn(shape[0] * shape[1], width))
        self.row, self.column = (nn.Parameter(torch.rand(count, width // 2)) for count in shape)
        self.camera = nn.Parameter(_FAINT * torch.randn(config.cameras, width))
        self.level = nn.Parameter(_FAINT * torch.randn(config.levels, width))
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.register_buffer("pillars", pillars(*shape, config.pillars, config.area), persistent=False)

    def forward(self, cameras: CameraMaps, before: PreviousBEV | None = None) -> Tensor:
        """The BEV map [B, C, rows, columns].

        Args:
            cameras: Of this moment.
            before: The moment before, if any sample has one.

        Raises:
            RequestError: There are more cameras than weights for them.
        """
        samples, number = cameras.project.shape[:2]
        if number > self.config.cameras:
            raise RequestError(too_many(number, self.config.cameras))
        shape = (self.config.rows, self.config.columns)
        scene = self._scene(self._told_apart(cameras, number), before, shape)
        cells = self.cells.expand(samples, -1, -1)
        for layer in self.layers:
            cells = layer(cells, scene)
        return cells.transpose(1, 2).reshape(samples, -1, *shape)

    def _scene(self, cameras: CameraMaps, before: PreviousBEV | None, shape: tuple[int, int]) -> Scene:
        rows = self.row[:, None].expand(-1, shape[1], -1)
        columns = self.column[None].expand(shape[0], -1, -1)
        position = torch.cat((columns, rows), -1).flatten(0, 1)
        hits = cameras.hits(self.pillars, hits_only=self.config.hits_only)
        linked = cameras.project.new_zeros(len(cameras.project), dtype=torch.bool)
        past = None
        if before is not None:
            linked = before.linked
            past = warp(before.bev, before.motion, self.config.area).flatten(2).transpose(1, 2)
        return Scene(position, past, linked, cameras, hits, cameras.within(hits.places), shape)

    def _told_apart(self, cameras: CameraMaps, number: int) -> CameraMaps:
        """Maps with what tells cameras and levels apart."""
        names = self.camera[:number].repeat(len(cameras.project), 1)[..., None, None]
        maps = tuple(level + names + tag[:, None, None] for level, tag in zip(cameras.maps, self.level, strict=True))
        return cameras.replaced(maps)
