"""The planes of a diffractive chip along the light's way: where masks stand, what they show, what light they see."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError
from lightloom.nn.diffractive.paths import Optics, detected, plan
from lightloom.physics import diffraction

Offsets = tuple[tuple[float, float], ...]


class OpticalAxis:
    """Masks and a detector in a row, without parameters of its own.

    Args:
        chip: What stands there.
    """

    def __init__(self, chip: DiffractiveChip) -> None:
        self.chip = chip
        self.offsets: Offsets = ((0.0, 0.0),) * chip.layers
        self._kept: tuple[tuple[object, ...], Tensor] | None = None

    def align(self, offsets: Sequence[tuple[float, float]]) -> None:
        """Put each mask (dy, dx) pixels from its place.

        Raises:
            RequestError: There are not as many offsets as masks.
        """
        if len(offsets) != self.chip.layers or any(len(offset) != 2 for offset in offsets):
            raise RequestError(
                f"Chip `{self.chip.name}` has {self.chip.layers} masks, and {len(offsets)} offsets were given; give "
                "(dy, dx) of each, as `chip.offsets(seed)` does."
            )
        self.offsets = tuple((float(dy), float(dx)) for dy, dx in offsets)

    def check(self, x: Tensor, like: Tensor) -> Tensor:
        """The real fields x [..., h, w], in the precision of the parameters `like`.

        Raises:
            RequestError: A number format does not fit, or the map does not fit on the grid.
        """
        if like.dtype not in (torch.float32, torch.float64):
            raise RequestError(
                f"Diffraction takes float32 or float64, and the parameters are {_name(like)}; convert the module with "
                "`.float()`. Layers around it may stay in half precision, or under autocast."
            )
        if not x.is_floating_point() or (x.dtype == torch.float64 and like.dtype == torch.float32):
            raise RequestError(f"Expected {_name(like)} maps, got {_name(x)}; convert them, or the module.")
        (h, w), grid = x.shape[-2:], self.chip.grid
        if max(h, w) > grid:
            raise RequestError(
                f"A map of {h} x {w} samples does not fit on the grid of {grid} x {grid} of chip `{self.chip.name}`; "
                f"set `grid={max(h, w)}` or more, or give it a smaller map."
            )
        return x.to(like.dtype)

    def noisy(self, training: bool) -> bool:
        """Whether noise acts in this mode."""
        return ("train" if training else "eval") in self.chip.noise_in

    def realise(self, turns: Tensor, noisy: bool) -> Tensor:
        """The phases that light meets, in turns, of those that were asked for."""
        chip = self.chip
        turns = diffraction.quantise(turns, chip.phase_bits)
        return diffraction.phase_noise(turns, chip.phase_noise_fraction, chip.phase_noise_std) if noisy else turns

    def detect(self, x: Tensor, turns: Tensor, weight: Tensor | None, noisy: bool, memory_mb: float) -> Tensor:
        """Light through all paths to the detectors; see `paths.detected` for shapes.

        Args:
            x: [batch, inputs, h, w] fields.
            turns: Realised phases.
            weight: Of the sum over inputs, or None.
            noisy: Whether photons are counted, if the chip says how many.
            memory_mb: Bound on the complex fields.
        """
        photons = self.chip.photons if noisy else None
        seed = 0 if photons is None else int(torch.randint(2**62, ()))
        ways, amplitude = self._ways(x), math.sqrt(self.chip.transmission)
        view = x.shape[2], x.shape[3]
        optics = Optics(ways, (self.chip.mask, self.chip.mask), view, amplitude, self.chip.detector, photons)
        return detected(x, turns, weight, optics, plan(x, len(turns), optics, memory_mb, seed))

    def planes(self, x: Tensor, turns: Tensor) -> Tensor:
        """Intensities [K + 2, batch, paths, M, M] of the light in all planes, written out step by step.

        Args:
            x: [batch, paths, h, w] fields that enter.
            turns: [paths, K, N, N] realised phases.
        """
        size, amplitude = self.chip.grid, math.sqrt(self.chip.transmission)
        first, *between = (way.to(x.device) for way in self.chip.transfers())
        field = diffraction.pad(x, size, size)
        seen = [field.square()]
        field = diffraction.propagate(field, first)
        seen.append(diffraction.detect(field))
        for phases, (dy, dx), way in zip(turns.unbind(1), self.offsets, between, strict=True):
            loss = diffraction.amplitude_mask(torch.full_like(phases, amplitude), size, size)
            mask = diffraction.phase_mask(phases, size, size) * loss
            field = diffraction.shift(diffraction.shift(field, -dy, -dx) * mask, dy, dx)
            field = diffraction.propagate(field, way)
            seen.append(diffraction.detect(field))
        return torch.stack(seen)

    def _ways(self, x: Tensor) -> Tensor:
        """Transfer functions of `Optics`, between windows at the first sample of each plane, for maps as x."""
        h, w = x.shape[2:]
        key = (h, w, x.dtype, x.device, self.offsets)
        if self._kept is None or self._kept[0] != key:
            # the same as masks out of place by the distance of the windows' corners
            down, right = (side // 2 - self.chip.mask // 2 for side in (h, w))
            places = [(dy + down, dx + right) for dy, dx in self.offsets]
            ways = torch.stack([way.mT for way in diffraction.misalign(self.chip.transfers(), places)])
            self._kept = key, ways.to(x.device, torch.promote_types(x.dtype, torch.complex64))
        return self._kept[1]


def _name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
