"""A network of light alone: an image diffracts through trained masks, and the brightest detector names its class."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.chips import DiffractiveChip
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.nn.diffractive.axis import OpticalAxis, log_stretch
from lightloom.physics import diffraction

_FILLED = 0.6
"""Side of a detector over the distance of neighbouring ones; light between them is not detected."""


class DiffractiveNetwork(nn.Module):
    """A diffractive deep neural network (D2NN): Lin et al., Science 361, 1004 (2018).

    The image sets the amplitude of light on as many samples as a mask has; the K masks train; in the plane behind the
    last one each class has a square detector. Logits are the logarithm of each detector's share of the light on all of
    them, times a trained `sharpness`, so that brighter images are not surer ones. Channels are lit one after the other,
    with the same masks, and their detected light adds.

    Args:
        shape: (channels, h, w) of the images.
        classes: Detectors, at least 2.
        chip: Grid, masks, distances and imperfections; its `detector` is not used, powers are detected.
        memory_mb: Bound on the complex fields of one pass, as of `DiffractiveConv2d`.
        learn_distance: Whether the K + 1 distances train, too, as of `DiffractiveConv2d`.
        check: What is done where the chip's grid is too small for its distances, as of `DiffractiveConv2d`.

    Shapes: [batch, channels, h, w] -> [batch, classes].

    Raises:
        RequestError: The shape is not of images, the detectors do not fit into the samples of a mask, a grid is
            refused, or a distance of 0 is to train.
    """

    regions: Tensor
    log_stretch: nn.Parameter | None

    @checked
    def __init__(
        self,
        shape: Sequence[int],
        classes: int,
        chip: DiffractiveChip,
        *,
        memory_mb: float = 256.0,
        learn_distance: bool = False,
        check: diffraction.Check = "warn",
    ) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape) < 1:
            raise RequestError(f"Images have a shape (channels, h, w), got {tuple(shape)}.")
        if not memory_mb > 0:
            raise RequestError(f"A bound of {memory_mb:g} MB on the light; give one above 0.")
        self.shape, self.classes, self.memory_mb = tuple(shape), classes, memory_mb
        self._chip, self._axis = chip, OpticalAxis(chip.replace(detector="intensity"), check)
        self.turns = nn.Parameter(torch.empty(chip.layers, chip.mask, chip.mask))
        self.sharpness = nn.Parameter(torch.empty(()))
        self.register_parameter("log_stretch", log_stretch(self._axis) if learn_distance else None)
        self.register_buffer("regions", _regions(classes, chip.mask), persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the phases anew."""
        nn.init.uniform_(self.turns, 0.0, 2.0)
        nn.init.ones_(self.sharpness)
        if self.log_stretch is not None:
            nn.init.zeros_(self.log_stretch)

    @property
    def chip(self) -> DiffractiveChip:
        """Grid, masks, distances and imperfections; another one may be set, with masks of the same size."""
        return self._chip

    @chip.setter
    def chip(self, chip: DiffractiveChip) -> None:
        self._axis, self._chip = self._axis.changed(chip.replace(detector="intensity")), chip

    @property
    def distances(self) -> Tensor:
        """The K + 1 distances in m, float64: to the first mask, between masks, to the detector; with their graph."""
        return self._axis.lengths(self.turns, self.log_stretch)

    @property
    def optical_parameters(self) -> int:
        """Phases of all masks."""
        return self.turns.numel()

    def align(self, offsets: Sequence[tuple[float, float]]) -> None:
        """Put each mask (dy, dx) pixels from its place, as `chip.offsets(seed)` draws for a manufactured chip.

        Raises:
            RequestError: There are not as many offsets as masks.
        """
        self._axis.align(offsets)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, channels, h, w] amplitudes -> logits [batch, classes].

        Raises:
            RequestError: Channels or number format do not fit.
        """
        powers = self.powers(x).clamp(min=torch.finfo(self.turns.dtype).tiny)
        return self.sharpness * (powers.log() - powers.sum(1, keepdim=True).log())

    def powers(self, x: Tensor) -> Tensor:
        """Light [batch, classes] on the detectors, of images [batch, channels, h, w]."""
        light = self._light(x)
        noisy = self._axis.noisy(self.training)
        turns = self._axis.realise(self.turns, noisy)[None, None]
        both = light.new_ones(1, self.shape[0])
        intensity = self._axis.detect(
            light, turns, both, noisy=noisy, memory_mb=self.memory_mb, log_stretch=self.log_stretch
        )
        return torch.einsum("bhw,chw->bc", intensity.squeeze(1), self.regions.to(intensity.dtype))

    @torch.no_grad()
    def fields(self, x: Tensor) -> Tensor:
        """Intensities [K + 2, batch, channels, M, M] in all planes, for pictures, without noise.

        Planes are the input, in front of the first mask, and behind each distance z2, the last of which is detected.
        """
        turns = self._axis.realise(self.turns, noisy=False)
        return self._axis.planes(self._light(x), turns.expand(self.shape[0], -1, -1, -1), self.log_stretch)

    def extra_repr(self) -> str:
        """Images, classes and chip, for printing a model."""
        return f"{self.shape}, classes={self.classes}, phases={self.optical_parameters}, chip={self.chip.name!r}"

    def _light(self, x: Tensor) -> Tensor:
        """Images in the middle of N x N samples, as large as fits."""
        side = self.chip.mask
        if x.shape[1:] != self.shape:
            raise RequestError(f"Expected images [batch, {', '.join(map(str, self.shape))}], got {list(x.shape)}.")
        x = self._axis.check(x, self.turns)
        h, w = self.shape[1:]
        size = [max(1, round(length * side / max(h, w))) for length in (h, w)]
        return diffraction.pad(F.interpolate(x, size=size, mode="area"), side, side)


def _regions(classes: int, side: int) -> Tensor:
    """[classes, side, side]: 1 where each class has its detector, rows of detectors that fill the window evenly."""
    rows = round(math.sqrt(classes)) if classes > 1 else 0
    if rows == 0:
        raise RequestError(f"A network tells at least 2 classes apart, got {classes}.")
    per_row = [classes // rows + (row < classes % rows) for row in range(rows)]
    width = int(_FILLED * side / max(rows, *per_row))
    if width < 1:
        raise RequestError(
            f"{classes} detectors do not fit into {side} x {side} samples; take a chip with a larger `mask`."
        )
    regions = torch.zeros(classes, side, side)
    label = 0
    for row, count in enumerate(per_row):
        for column in range(count):
            top, left = (
                round(side * (2 * place + 1) / (2 * places) - width / 2)
                for place, places in ((row, rows), (column, count))
            )
            regions[label, top : top + width, left : left + width] = 1
            label += 1
    return regions
