"""FCOS (Tian et al., ICCV 2019): every point of a pyramid says what covers it and how far its edges are."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lightloom.common.config import Section, at_most

_RARE = 0.01  # of points that see something, before anything is learnt


class FCOSConfig(Section):
    """Neck, head, losses and decoding of a detector. Defaults are those of the published hybrids."""

    channels: Annotated[int, at_most(65536, "weights and activations would not fit into any memory")] = Field(256, ge=1)
    """Channels of pyramid and head."""
    convs: Annotated[int, at_most(100, "signals and gradients do not survive as many layers")] = Field(4, ge=0)
    """3x3 convolutions of each tower of the head."""
    groups: Annotated[int, at_most(65536, "weights and activations would not fit into any memory")] = Field(32, ge=1)
    """Groups of the group norms in the head."""
    first: Annotated[int, at_most(16, "no backbone has as many stages")] = Field(1, ge=0)
    """First stage of the backbone that the pyramid takes; its map has a stride of 4 * 2^first."""
    levels: Annotated[int, at_most(16, "each level halves the map, and no map is left")] = Field(5, ge=1)
    """Number of levels of the pyramid."""
    reach: float = Field(8.0, gt=0)
    """A level finds objects whose farthest edge is up to so many of its strides away; the next one takes over there,
    the last has no limit."""
    centre: float | None = Field(None, gt=0)
    """Only points within so many strides of the centre of an object answer for it; None takes all inside."""
    by_stride: bool = False
    """Distances are learnt in strides; published is in pixels."""
    overlap: Literal["log", "giou"] = "log"
    """Loss of boxes: -log of intersection over union, or 1 - generalised IoU."""
    score: float = Field(0.05, ge=0, lt=1)
    """Least class score of a detection."""
    before: int = Field(1000, ge=1)
    """Most candidates of one level."""
    nms: float = Field(0.5, gt=0, le=1)
    """Overlap beyond which only the surer of two detections of a class stays."""
    most: int = Field(100, ge=1)
    """Most detections in one image."""


class FCOSHead(nn.Module):
    """Two towers shared by all levels: one for class and centerness, one for the distances to the four edges.

    Args:
        config: Channels, convolutions, groups, and whether distances are in strides.
        classes: How many.
        strides: Of the levels, in pixels.
    """

    def __init__(self, config: FCOSConfig, classes: int, strides: tuple[int, ...]) -> None:
        super().__init__()
        width = config.channels
        self.units = [float(stride) if config.by_stride else 1.0 for stride in strides]
        self.class_tower, self.box_tower = (_tower(width, config.convs, config.groups) for _ in range(2))
        self.classify = nn.Conv2d(width, classes, 3, padding=1)
        self.regress = nn.Conv2d(width, 4, 3, padding=1)
        self.centre = nn.Conv2d(width, 1, 3, padding=1)
        self.scales = nn.Parameter(torch.ones(len(strides)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.constant_(self._bias(self.classify), -math.log(1 / _RARE - 1))

    def forward(self, levels: tuple[Tensor, ...]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
        """What each level [B, channels, h, w] says at its points.

        Returns:
            Class logits [B, C, h, w], distances to left, top, right and bottom edge in pixels [B, 4, h, w], and
            centerness logits [B, 1, h, w], each of every level.
        """
        logits, distances, centres = [], [], []
        for number, level in enumerate(levels):
            hidden = self.class_tower(level)
            logits.append(self.classify(hidden))
            centres.append(self.centre(hidden))
            grown = (self.scales[number] * self.regress(self.box_tower(level))).float()
            distances.append(grown.clamp(max=_FAR).exp() * self.units[number])
        return tuple(logits), tuple(distances), tuple(centres)

    @staticmethod
    def _bias(conv: nn.Conv2d) -> Tensor:
        assert conv.bias is not None
        return conv.bias


_FAR = 16.0  # e^16 pixels are further than any image; keeps a wild step finite


def _tower(width: int, convs: int, groups: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(convs):
        layers += [nn.Conv2d(width, width, 3, padding=1, bias=False), nn.GroupNorm(groups, width), nn.ReLU()]
    return nn.Sequential(*layers)


def points(shape: tuple[int, int], stride: int, device: torch.device) -> Tensor:
    """The points of a level [h, w] in the image: (x, y) in pixels [h * w, 2], row by row.

    Args:
        shape: Rows and columns of the level.
        stride: Pixels of a cell.
        device: Where the points go.
    """
    rows, columns = (torch.arange(size, device=device) * stride + stride // 2 for size in shape)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack((x, y), -1).reshape(-1, 2).to(torch.float32)


def reach_of(strides: tuple[int, ...], reach: float) -> list[tuple[float, float]]:
    """Least and greatest distance in pixels to the farthest edge of the objects of each level.

    With a reach of 8 strides this is the published (-1, 64), (64, 128), (128, 256), (256, 512), (512, inf).

    Args:
        strides: Strides of the levels in pixels.
        reach: Reach of a level in its strides.
    """
    ends = [reach * stride for stride in strides[:-1]]
    return list(zip([-1.0, *ends], [*ends, math.inf], strict=True))
