"""Perspective supervision: a loss on the camera maps beside that of the decoder, which reaches the backbone at once.

A box is asked for where its centre is seen: its class, and how far away it is. Nothing of it is needed to detect.
Source: the perspective supervision of BEVFormer v2 (Yang et al., CVPR 2023), with points in the place of its head.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.geometry import project_points, visible_points
from lightloom.tasks.detection3d.losses import focal
from lightloom.tasks.detection3d.queries import class_bias


class PerspectiveOutput(NamedTuple):
    """What the finest maps of all cameras say."""

    logits: Tensor
    """Logits of each class having a centre in each cell [B, N, classes, h, w]."""
    depths: Tensor
    """Logarithm of the depth in metres of what is there [B, N, h, w]."""
    project: Tensor
    """Projections to pixels of the images as they were looked at [B, N, 4, 4]."""
    extent: Tensor
    """Width and height of the image in these pixels [B, N, 2]."""
    stride: int
    """Side of a cell in pixels."""


class PerspectiveHead(nn.Module):
    """Two convolutions on the finest level of the pyramid.

    Args:
        channels: Of the level.
        classes: How many there are to tell apart.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU())
        self.classify, self.measure = nn.Conv2d(channels, classes, 1), nn.Conv2d(channels, 1, 1)
        class_bias(self.classify)

    def forward(self, cameras: CameraMaps) -> PerspectiveOutput:
        """What is in each cell of the finest maps."""
        hidden = self.hidden(cameras.maps[0])
        samples = cameras.project.shape[:2]
        return PerspectiveOutput(
            self.classify(hidden).unflatten(0, samples),
            self.measure(hidden)[:, 0].unflatten(0, samples),
            cameras.project,
            cameras.extent,
            cameras.strides[0],
        )


def perspective_loss(perspective: PerspectiveOutput, targets: Tensor) -> Tensor:
    """Loss over the centres that cameras see: which class it is, how far away, and that there is none elsewhere.

    The mean of the cross-entropy among classes and of the L1 distance of the logarithm of depth at the centres, and the
    focal loss of all cells by the number of centres. Without the first, classes need many times the steps.

    Args:
        perspective: Of a `PerspectiveHead`.
        targets: (x, y, z, w, l, h, yaw, vx, vy, label) [B, most, 10], label -1 where there is none.
    """
    rows, columns = perspective.logits.shape[-2:]
    pixels, depth = project_points(targets[:, None, :, :3], perspective.project)
    cells = (pixels / perspective.stride).floor().long()
    visible = visible_points(pixels, depth, perspective.extent) & (targets[:, None, :, 9] >= 0)
    visible &= (cells[..., 0] < columns) & (cells[..., 1] < rows)
    sample, camera, box = visible.nonzero(as_tuple=True)
    column, row = cells[sample, camera, box].unbind(-1)
    labels = torch.zeros_like(perspective.logits, dtype=torch.float32)
    labels[sample, camera, targets[sample, box, 9].long(), row, column] = 1
    there = perspective.logits[sample, camera, :, row, column].float()
    classes = F.cross_entropy(there, targets[sample, box, 9].long(), reduction="sum")
    depths = (perspective.depths[sample, camera, row, column].float() - depth[sample, camera, box].log()).abs().sum()
    return (focal(perspective.logits.float(), labels).sum() + classes + depths) / max(len(box), 1)
