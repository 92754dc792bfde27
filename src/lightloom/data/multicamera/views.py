"""What several cameras see at several moments: the inputs of a 3-D detector."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Views(NamedTuple):
    """T moments of N cameras, the last moment being the present one.

    The ego frame of a moment has x forward, y left and z up, in metres.
    """

    images: Tensor
    """Images of N cameras at T moments [B, T, N, 3, H, W], uint8 or 0 ... 1, RGB."""
    project: Tensor
    """[B, T, N, 4, 4]: a point of the ego frame of that moment, homogeneous in metres, to (u d, v d, d, 1) with the
    pixel u to the right, v down, and the depth d along the optical axis."""
    extent: Tensor
    """[B, T, N, 2]: width and height in pixels of the part of the frame that is image, at the top left; 0 where that
    camera gave no image."""
    motion: Tensor
    """[B, T, 4, 4]: points of the ego frame of moment t, in that of moment t - 1; identity where not linked."""
    linked: Tensor
    """[B, T], bool: moment t - 1 comes before t in the same scene."""

    def to(self, device: torch.device) -> Views:
        """The same on a device."""
        return Views(*(part.to(device) for part in self))
