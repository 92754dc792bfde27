"""The planes of a diffractive chip along the light's way: where masks stand, what they show, what light they see."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import get_args

import torch
from torch import Tensor, nn

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError, nearest
from lightloom.nn.diffractive.paths import Optics, detected, plan
from lightloom.physics import diffraction
from lightloom.physics.execution import eager, has_numbers

Offsets = tuple[tuple[float, float], ...]


class OpticalAxis:
    """Masks and a detector in a row, without parameters of its own.

    Args:
        chip: What stands there.
        check: What is done where the chip's grid is too small for its distances.

    Raises:
        RequestError: The grid is too small, and refused, or there is no such check.
    """

    def __init__(self, chip: DiffractiveChip, check: diffraction.Check) -> None:
        farthest = max(chip.distance_in, chip.distance)
        self.chip = chip
        self.sampling, self._said = check, _check_grid(chip, check, farthest)
        self.offsets: Offsets = ((0.0, 0.0),) * chip.layers
        self._cache: tuple[tuple[object, ...], Tensor] | None = None

    def __getstate__(self) -> dict[str, object]:
        """All but what can be computed again, for a copy."""
        return {**self.__dict__, "_cache": None}

    @property
    def distances(self) -> tuple[float, ...]:
        """Lengths of the K + 1 ways, in m: to the first mask, between masks, to the detector."""
        return (self.chip.distance_in, *[self.chip.distance] * self.chip.layers)

    def changed(self, chip: DiffractiveChip) -> OpticalAxis:
        """The same with another chip, its masks as many and as large as before.

        Raises:
            RequestError: They are not.
        """
        have, want = (self.chip.layers, self.chip.mask), (chip.layers, chip.mask)
        if want != have:
            raise RequestError(
                f"Chip `{chip.name}` has {want[0]} masks of {want[1]} x {want[1]} pixels, and this layer trains "
                f"{have[0]} of {have[1]} x {have[1]}; make a layer for that chip."
            )
        axis = OpticalAxis(chip, self.sampling)
        axis.offsets = self.offsets
        return axis

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
        if any(isinstance(part, Tensor) and part.requires_grad for offset in offsets for part in offset):
            raise RequestError(
                "Offsets that require a gradient were given, and where masks stand is no parameter of a layer; give "
                "numbers, or move light by `physics.diffraction.shift`, which is differentiable."
            )
        self.offsets = tuple((float(dy), float(dx)) for dy, dx in offsets)

    def check(self, x: Tensor, like: Tensor) -> Tensor:
        """The real fields as light takes them, in the precision of the parameters.

        Args:
            x: Maps [..., h, w].
            like: A parameter, for its type.

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
        """The phases that light meets, in turns, of those that were asked for.

        Args:
            turns: Phases that were asked for, in turns.
            noisy: Whether the noise of the phases acts.
        """
        chip = self.chip
        turns = diffraction.quantise(turns, chip.phase_bits)
        return diffraction.phase_noise(turns, chip.phase_noise_fraction, chip.phase_noise_std) if noisy else turns

    def detect(
        self,
        x: Tensor,
        turns: Tensor,
        weight: Tensor | None,
        *,
        noisy: bool,
        memory_mb: float,
        log_stretch: Tensor | None = None,
    ) -> Tensor:
        """Light through all paths to the detectors; see `paths.detected` for shapes.

        Args:
            x: [batch, inputs, h, w] fields.
            turns: Realised phases.
            weight: Of the sum over inputs, or None.
            noisy: Whether photons are counted, if the chip says how many.
            memory_mb: Bound on the complex fields.
            log_stretch: [K + 1] logarithms of the ways' lengths over those of the chip, or None for its own.
        """
        photons = self.chip.photons if noisy else None
        seed = int(torch.randint(2**62, (), device="cpu")) if photons is not None and eager() else 0
        ways, amplitude = self._ways(x, log_stretch), math.sqrt(self.chip.transmission)
        view = x.shape[2], x.shape[3]
        optics = Optics(ways, (self.chip.mask, self.chip.mask), view, amplitude, self.chip.detector, photons)
        return detected(x, turns, weight, optics, plan(x, len(turns), optics, memory_mb, seed))

    def planes(self, x: Tensor, turns: Tensor, log_stretch: Tensor | None = None) -> Tensor:
        """Intensities [K + 2, batch, paths, M, M] of the light in all planes, written out step by step.

        Args:
            x: [batch, paths, h, w] fields that enter.
            turns: [paths, K, N, N] realised phases.
            log_stretch: As in `detect`.
        """
        size, amplitude = self.chip.grid, math.sqrt(self.chip.transmission)
        first, *between = (way.to(x.device) for way in self._transfers(log_stretch))
        field = diffraction.pad(x, size, size)
        planes = [field.square()]
        field = diffraction.propagate(field, first)
        planes.append(diffraction.detect(field))
        for phases, (dy, dx), way in zip(turns.unbind(1), self.offsets, between, strict=True):
            loss = diffraction.amplitude_mask(torch.full_like(phases, amplitude), size, size)
            mask = diffraction.phase_mask(phases, size, size) * loss
            field = diffraction.shift(diffraction.shift(field, -dy, -dx) * mask, dy, dx)
            field = diffraction.propagate(field, way)
            planes.append(diffraction.detect(field))
        return torch.stack(planes)

    def _ways(self, x: Tensor, log_stretch: Tensor | None) -> Tensor:
        """Transfer functions of `Optics`, between windows at the first sample of each plane, for maps as x."""
        if log_stretch is not None or not eager():
            return self._built(x, log_stretch)
        key = (*x.shape[2:], x.dtype, x.device, self.offsets)
        cached = self._cache
        if cached is None or cached[0] != key:
            with torch.inference_mode(False):  # what is cached may take part in training later
                cached = key, self._built(x, None)
            self._cache = cached
        return cached[1]

    def _built(self, x: Tensor, log_stretch: Tensor | None) -> Tensor:
        # the same as masks out of place by the distance of the windows' corners
        down, right = (side // 2 - self.chip.mask // 2 for side in x.shape[2:])
        places = [(dy + down, dx + right) for dy, dx in self.offsets]
        ways = torch.stack([way.mT for way in diffraction.misalign(self._transfers(log_stretch), places)])
        return ways.to(x.device, torch.promote_types(x.dtype, torch.complex64))

    def lengths(self, like: Tensor, log_stretch: Tensor | None) -> Tensor:
        """The K + 1 distances in m, float64, with their graph.

        Args:
            like: A parameter, for its device.
            log_stretch: Logarithms [K + 1] of the distances over those of the chip; None where they do not train.
        """
        own = torch.tensor(self.distances, dtype=torch.float64, device=like.device)
        return own if log_stretch is None else own * log_stretch.double().exp()

    def _transfers(self, log_stretch: Tensor | None) -> tuple[Tensor, ...]:
        """Transfer functions [M, M] of the K + 1 ways."""
        chip = self.chip
        ways: Sequence[diffraction.Length] = self.distances
        if log_stretch is not None:
            lengths = self.lengths(log_stretch, log_stretch)
            ways = lengths.unbind()
            if not self._said and self.sampling != "ignore" and has_numbers(lengths):  # once is enough
                self._said = _check_grid(chip, self.sampling, float(lengths.detach().amax()))
        return tuple(diffraction.transfer(chip.plane(), z, chip.method, chip.evanescent, "ignore") for z in ways)


def log_stretch(axis: OpticalAxis) -> nn.Parameter:
    """The parameter of distances that train: [K + 1] logarithms of what they are over those of the chip, at 0.

    Raises:
        RequestError: A distance is 0, which no factor changes.
    """
    if 0 in axis.distances:
        raise RequestError(
            f"Chip `{axis.chip.name}` has a distance of 0, which no factor changes; to train distances, give "
            "`distance_in` and `distance` above 0."
        )
    return nn.Parameter(torch.zeros(len(axis.distances)))


def _check_grid(chip: DiffractiveChip, check: diffraction.Check, farthest: float) -> bool:
    """Whether it was said that a grid is too small for its farthest distance.

    It must follow the ways of every wave that it holds: phases that train fill the whole spectrum.
    """
    if check not in get_args(diffraction.Check):
        raise RequestError(f"There is no check `{check}`. {nearest(check, get_args(diffraction.Check))}")
    plane = chip.plane()
    limit = diffraction.paraxial_critical_distance if chip.method == "fresnel" else diffraction.critical_distance
    most = float(limit(plane))
    if check == "ignore" or chip.method == "band_limited" or farthest <= most:
        return False
    samples = farthest / most * chip.grid if most else math.inf
    mend = f"set `grid={math.ceil(samples)}` or more, " if samples < math.inf else "set pixels above 0.71 wavelengths, "
    text = (
        f"Chip `{chip.name}` has a way of {farthest:.3g} m, and its grid of {chip.grid} x {chip.grid} samples follows "
        f"free space up to {most:.3g} m: light that its masks scatter widely comes back in where it is not; {mend}a "
        'shorter distance, or `method="band_limited"`, which leaves this light out; or give the layer '
        '`check="ignore"`.'
    )
    if check == "refuse":
        raise RequestError(text)
    warnings.warn(text, diffraction.SamplingWarning, stacklevel=4)
    return True


def _name(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")
