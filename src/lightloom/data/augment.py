"""Random crops and mirrored images, a whole batch at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

PADDING = 4
"""Pixels added on every side before cropping, as is usual for images of 32 x 32 since He et al., CVPR 2016."""


def crop_and_flip(images: Tensor) -> Tensor:
    """Shift every image by up to `PADDING` pixels each way and mirror half of them, left to right.

    What comes in at the borders is 0, which is the mean of standardised images. All draws come from torch's global
    CPU generator, so a training that seeds it repeats them on any device.

    Args:
        images: [n, c, h, w].

    Returns:
        The same shape.

    Raises:
        ValueError: The rank is another.
    """
    if images.ndim != 4:
        raise ValueError(f"images are [n, c, h, w], got a tensor of rank {images.ndim}")
    count, _, height, width = images.shape
    down, right = torch.randint(2 * PADDING + 1, (2, count, 1))
    mirrored = torch.rand(count, 1) < 0.5
    columns = torch.arange(width).expand(count, width)
    columns = torch.where(mirrored, width - 1 - columns, columns) + right
    rows = torch.arange(height) + down
    padded = F.pad(images, (PADDING,) * 4)
    sample = torch.arange(count, device=images.device).view(-1, 1, 1)
    picked = padded[sample, :, rows.to(images.device).unsqueeze(2), columns.to(images.device).unsqueeze(1)]
    # indexing by three tensors around a slice puts the channels last
    return picked.permute(0, 3, 1, 2).contiguous()


def on_images(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """A change of images alone, in the form that the training engine takes: their targets stay."""
    return lambda images, targets: (change(images), targets)
