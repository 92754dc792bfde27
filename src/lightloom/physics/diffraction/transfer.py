"""What free space does to each plane wave of a field: transfer functions, built in double precision.

Phases grow as exp(+i k z) along the light's way. For every method H(-z) is the complex conjugate of H(z): light is
sent back by the adjoint, which undoes the way exactly where |H| = 1 and amplifies nothing anywhere else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Literal

import torch
from torch import Tensor

from lightloom.physics.diffraction.grid import Grid, Length, check, double, frequencies, place
from lightloom.physics.diffraction.guard import Check, check_name
from lightloom.physics.diffraction.limits import band_limit, root
from lightloom.physics.execution import eager

Method = Literal["angular_spectrum", "band_limited", "fresnel"]
"""Exact; exact without the waves that the grid samples too coarsely; or paraxial."""

Evanescent = Literal["cut", "decay"]
"""Waves finer than the wavelength are left out, or fall off with the distance, in either direction."""


class TransferFunction(Tensor):
    """A transfer function that knows its grid and distance, so that `propagate` can tell whether they serve a field.

    Whatever is computed of it is a plain tensor; on another device, or in another precision, it stays what it is.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    grid: Grid
    distance: Length
    method: Method
    check: Check
    """What `propagate` does where the grid does not serve the light."""
    reach: Any
    """What it needs to tell, as soon as it has."""

    def to(self, *args: Any, **options: Any) -> Tensor:
        """Move or convert the tensors, as `torch.Tensor.to` does."""
        return _like(self, super().to(*args, **options))

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        """A copy of the numbers that knows the same."""
        return _like(self, self.clone())


def transfer(
    grid: Grid,
    distance: Length,
    method: Method = "angular_spectrum",
    evanescent: Evanescent = "cut",
    check: Check = "warn",
) -> Tensor:
    """Transfer function of free space: the field's spectrum behind it over the one in front.

    - angular_spectrum: exp(2 pi i z / lambda sqrt(1 - (lambda fx)^2 - (lambda fy)^2)) (Goodman, Introduction to Fourier
      Optics, 3.10). Beyond `critical_distance` its phase is sampled too coarsely, and light reappears where it is not.
    - band_limited: the same for the waves whose phase is well sampled, 0 for others (`band_limit`).
    - fresnel: exp(2 pi i z / lambda) exp(-i pi lambda z (fx^2 + fy^2)), for small angles.

    Gradients, of any order, flow through a `distance`, `pixel` or `wavelength` that is a tensor. Which waves travel and
    which are left out has no slope: each wave counts for what it is.

    Args:
        grid: The plane in front and the one behind.
        distance: z in m; below 0 light is sent back.
        method: See above.
        evanescent: What the angular spectrum does where the root is imaginary: 0 ("cut"), or
            exp(-2 pi |z| / lambda sqrt((lambda fx)^2 + (lambda fy)^2 - 1)) ("decay"), which never grows, not even for a
            z below 0. The band limit always leaves these waves out, and the paraxial form has none.
        check: What `propagate` does with a field for which this grid is too small or too coarse, or the paraxial form
            not valid: a `SamplingWarning`, said once, a ValueError ("refuse"), or nothing ("ignore").

    Returns:
        [rows, columns] complex128, frequencies in the order of `torch.fft.fftfreq`, on the device of the tensors among
        the lengths, else on the CPU. For the same numbers it is computed once, and each caller gets a copy of its own.

    Raises:
        ValueError: There is no such grid (`grid.check`), method, treatment of evanescent waves or check.
        TypeError: A length is a tensor of other than real floating-point numbers.
    """
    _check(grid, distance, method, evanescent)
    check_name(check)
    lengths = (distance, grid.pixel, grid.wavelength)
    if any(isinstance(length, Tensor) for length in lengths) or not eager():
        function = _transfer(grid, distance, method, evanescent)
    else:
        plain = Grid(grid.rows, grid.columns, float(grid.pixel), float(grid.wavelength))
        with torch.inference_mode(False):
            function = _kept(plain, float(distance), method, evanescent).clone()
    return _known(function, grid, distance, method, check) if eager() else function


def displacement(rows: int, columns: int, dy: float | Tensor, dx: float | Tensor) -> Tensor:
    """Transfer function [rows, columns], complex128, that moves a field by (dy, dx) samples, whole or not.

    Differentiable by tensors `dy` and `dx` []; it is computed where they are, else on the CPU.

    Args:
        rows: Rows of the grid.
        columns: Columns of the grid.
        dy: Shift along the rows' index, in samples.
        dx: Shift along the columns' index, in samples.
    """
    device = place(dy, dx)
    fy, fx = (frequency.to(device) for frequency in frequencies(Grid(rows, columns, 1.0, 1.0)))
    angle = (-2 * math.pi) * (fy * dy + fx * dx)
    return torch.polar(torch.ones_like(angle), angle)


def misalign(transfers: Sequence[Tensor], offsets: Sequence[tuple[float, float]]) -> tuple[Tensor, ...]:
    """The ways between masks that are out of place, for masks that are computed in place.

    A mask moved by d is the same as light moved by -d, the mask in its place, and light moved back by d. These moves
    are folded into the ways between, so that misaligned masks cost nothing and no light is lost to interpolation.

    Args:
        transfers: K + 1 ways [rows, columns]: to the first mask, between masks, and to the detector.
        offsets: (dy, dx) of each of the K masks in samples.

    Raises:
        ValueError: The numbers do not fit.
    """
    if len(transfers) != len(offsets) + 1:
        raise ValueError(
            f"{len(transfers)} transfer functions around {len(offsets)} masks; give {len(offsets) + 1}, one to each "
            "mask and one to the detector"
        )
    places = [(0.0, 0.0), *offsets, (0.0, 0.0)]
    return tuple(
        _like(way, way * displacement(way.shape[0], way.shape[1], y0 - y1, x0 - x1).to(way.device, way.dtype))
        for way, ((y0, x0), (y1, x1)) in zip(transfers, pairwise(places), strict=True)
    )


def _check(grid: Grid, distance: Length, method: str, evanescent: str) -> None:
    check(grid, distance)
    if method not in ("angular_spectrum", "band_limited", "fresnel"):
        raise ValueError(f"there is no method `{method}`; take `angular_spectrum`, `band_limited` or `fresnel`")
    if evanescent not in ("cut", "decay"):
        raise ValueError(f"evanescent waves are `cut` or `decay`, got `{evanescent}`")


def _known(numbers: Tensor, grid: Grid, distance: Length, method: Method, check: Check) -> TransferFunction:
    way = numbers.as_subclass(TransferFunction)
    way.grid, way.distance, way.method, way.check, way.reach = grid, distance, method, check, None
    return way


def _like(way: Tensor, numbers: Tensor) -> Tensor:
    if numbers is way or not isinstance(way, TransferFunction) or not eager():
        return numbers
    return _known(numbers, way.grid, way.distance, way.method, way.check)


@lru_cache(maxsize=8)
def _kept(grid: Grid, distance: float, method: Method, evanescent: Evanescent) -> Tensor:
    """A transfer function of numbers alone, which nobody is given to write to; made where no mode of torch acts."""
    return _transfer(grid, distance, method, evanescent)


def _transfer(grid: Grid, distance: Length, method: Method, evanescent: Evanescent) -> Tensor:
    device = place(distance, grid.pixel, grid.wavelength)
    fy, fx = (frequency.to(device) for frequency in frequencies(grid))
    z, wavelength = double(distance), double(grid.wavelength)
    sines = (wavelength * fy).square() + (wavelength * fx).square()
    turns = z / wavelength
    if method == "fresnel":
        return _wave(turns * (1 - sines / 2))
    wave = _wave(turns * _root(1 - sines))
    if method == "band_limited":
        return wave * _well_sampled(grid, distance)
    if evanescent == "cut":
        return wave * (sines <= 1)
    far = turns.abs() if isinstance(turns, Tensor) else abs(turns)
    return wave * torch.exp(-2 * math.pi * far * _root(sines - 1))


def _root(values: Tensor) -> Tensor:
    roots = root(values)
    assert isinstance(roots, Tensor)
    return roots


def _wave(turns: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(turns), 2 * math.pi * turns)


def _well_sampled(grid: Grid, distance: Length) -> Tensor:
    """Where the phase turns by less than pi between neighbouring frequencies: within two ellipses, not evanescent."""
    device = place(distance, grid.pixel, grid.wavelength)
    fy, fx = (frequency.to(device) for frequency in frequencies(grid))
    wavelength = double(grid.wavelength)
    limit_y, limit_x = band_limit(grid._replace(pixel=double(grid.pixel), wavelength=wavelength), double(distance))
    across = (wavelength * fy).square() + (fx / limit_x).square() <= 1
    along = (fy / limit_y).square() + (wavelength * fx).square() <= 1
    return across & along
