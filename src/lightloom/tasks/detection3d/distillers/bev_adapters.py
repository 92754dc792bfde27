"""Adapters of BEV maps: upsampling to the teacher's positions, and generation of masked cells."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightloom.learn.distil import generative, resize

_TINY = 1e-6


class UpsamplingAdapter(nn.Module):
    """Doubles a map until one more would make it finer than the teacher's, and ends in a 3 x 3 convolution.

    Each doubling is a transposed convolution (4 x 4, stride 2, no bias), a batch norm and a ReLU. What is left of the
    ratio is resized. With one doubling this is the restoring network of HeatmapDistiller; a map that has the teacher's
    positions already has the 3 x 3 convolution alone.

    Args:
        student: A map [B, D, h, w]; its shape alone matters.
        teacher: A map [B, C, H, W].
    """

    def __init__(self, student: Tensor, teacher: Tensor) -> None:
        super().__init__()
        width, rows, columns = student.shape[1:]
        self.size = (int(teacher.shape[2]), int(teacher.shape[3]))
        steps: list[nn.Module] = []
        while 2 * rows <= self.size[0] and 2 * columns <= self.size[1]:
            steps += [nn.ConvTranspose2d(width, width, 4, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            rows, columns = 2 * rows, 2 * columns
        self.doublings = nn.Sequential(*steps)
        self.last = nn.Conv2d(width, teacher.shape[1], 3, padding=1)

    def forward(self, student: Tensor) -> Tensor:
        """[B, D, h, w] -> [B, C, H, W]."""
        restored: Tensor = self.last(resize(self.doublings(student), self.size))
        return restored


class MaskedGenerator(nn.Module):
    """Drops cells on objects, makes the map whole again, and says how far it then is from the teacher's.

    The generator is a 3 x 3 convolution, a ReLU and another. It makes the teacher's map with the mean of each channel
    taken off and in units of the deviation (ours): the term is the share of the map's variance that is not restored,
    whatever the scale of the teacher's features.

    Source: Yang et al., "Masked Generative Distillation", ECCV 2022.

    Args:
        channels: Of the map.
        hidden: Between the two convolutions; 0 takes as many.
        drop: Share of the cells on objects that is dropped, in training.
        background: What cells beside objects count, where those on objects count 1.
    """

    def __init__(self, channels: int, hidden: int, drop: float, background: float) -> None:
        super().__init__()
        between = hidden or channels
        self.drop, self.background = drop, background
        self.generator = nn.Sequential(
            nn.Conv2d(channels, between, 3, padding=1), nn.ReLU(), nn.Conv2d(between, channels, 3, padding=1)
        )

    def forward(self, teacher: Tensor, student: Tensor, mask: Tensor, there: Tensor | None = None) -> Tensor:
        """The share of the variance that is not restored, as weighted over cells; about 1 when training begins.

        Args:
            teacher: [B, C, h, w].
            student: The student's in the teacher's width and positions [B, C, h, w].
            mask: 1 on objects, else 0 [B, 1, h, w].
            there: 1 where there is a map at all, else 0 [B, 1, h, w]; None has it everywhere.
        """
        mask_kept = 1 - mask * (torch.rand_like(mask) < self.drop) if self.training else torch.ones_like(mask)
        weight = mask + self.background * (1 - mask)
        if there is not None:
            weight = weight * there
        # the order of channels that convolutions of small maps run faster in
        masked = (student * mask_kept).contiguous(memory_format=torch.channels_last)
        return generative(standard(teacher), self.generator(masked), weight)


def standard(maps: Tensor) -> Tensor:
    """Maps [B, C, h, w] less the mean of each channel over cells and samples, in units of one deviation for all."""
    centred = maps.float() - maps.float().mean((0, 2, 3), keepdim=True)
    return centred / centred.square().mean().sqrt().clamp(min=_TINY)
