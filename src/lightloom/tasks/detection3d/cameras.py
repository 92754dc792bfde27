"""What a detector has of its cameras: maps of features, and where points of the ego frame lie in them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.tasks.detection3d.geometry import Hits, find_hits


class CameraMaps(NamedTuple):
    """Maps of N cameras at one moment, and their calibration."""

    maps: tuple[Tensor, ...]
    """Levels [B * N, channels, h, w], finest first."""
    strides: tuple[int, ...]
    """Strides of the levels in pixels of the frame."""
    project: Tensor
    """Projections to pixels of each camera [B, N, 4, 4], as in `Views`."""
    extent: Tensor
    """Width and height of the image in each frame in pixels [B, N, 2], as in `Views`."""
    frame: tuple[int, int]
    """Height and width of the frame in pixels."""

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each level."""
        return tuple((int(level.shape[-2]), int(level.shape[-1])) for level in self.maps)

    def hits(self, points: Tensor, *, hits_only: bool = True) -> Hits:
        """`find_hits` of points [Q, Z, 3] or [B, Q, Z, 3] in metres, in these cameras.

        Args:
            points: [Q, Z, 3] or [B, Q, Z, 3] in metres of the ego frame.
            hits_only: As of `find_hits`.
        """
        return find_hits(points, self.project, self.extent, self.frame, hits_only=hits_only)

    def within(self, places: Tensor) -> Tensor:
        """Places 0 ... 1 in the frame [K, Z, 2] to those in the map of each level [K, Z, levels, 2].

        The last cells of a map reach beyond a frame that is no multiple of their stride.
        """
        height, width = self.frame
        scales = [(width / (w * s), height / (h * s)) for (h, w), s in zip(self.shapes, self.strides, strict=True)]
        return places.unsqueeze(2) * places.new_tensor(scales)

    def replaced(self, maps: tuple[Tensor, ...]) -> CameraMaps:
        """The same cameras with other maps, such as those of another network of the same strides."""
        return self._replace(maps=maps)


def shrunk(project: Tensor, extent: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Calibration [..., 4, 4] and extent [..., 2] of images that are made smaller by a factor.

    Args:
        project: Ego frame to pixels [..., 4, 4].
        extent: Width and height of the images in pixels [..., 2].
        factor: Pixels that become one, along a side.
    """
    scale = torch.ones(4, dtype=project.dtype, device=project.device)
    scale[:2] = 1 / factor
    return project * scale[:, None], extent / factor
