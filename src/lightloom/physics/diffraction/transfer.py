"""What free space does to each plane wave of a field: transfer functions, built once in double precision.

Phases grow as exp(+i k z) along the light's way. For every method H(-z) is the complex conjugate of H(z): light is
sent back by the adjoint, which undoes the way exactly where |H| = 1 and amplifies nothing anywhere else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from lightloom.physics.diffraction.grid import Grid, check, frequencies

Method = Literal["angular_spectrum", "band_limited", "fresnel"]
"""Exact; exact without the waves that the grid samples too coarsely; or paraxial."""

Evanescent = Literal["cut", "decay"]
"""Waves finer than the wavelength are left out, or fall off with the distance, in either direction."""


def transfer(
    grid: Grid, distance: float, method: Method = "angular_spectrum", evanescent: Evanescent = "cut"
) -> Tensor:
    """Transfer function of free space: the field's spectrum behind it over the one in front.

    - angular_spectrum: exp(2 pi i z / lambda sqrt(1 - (lambda fx)^2 - (lambda fy)^2)) (Goodman, Introduction to Fourier
      Optics, 3.10). Beyond `critical_distance` its phase is sampled too coarsely, and light reappears where it is not.
    - band_limited: the same for the waves whose phase is well sampled, 0 for others (`band_limit`).
    - fresnel: exp(2 pi i z / lambda) exp(-i pi lambda z (fx^2 + fy^2)), for small angles.

    Args:
        grid: The plane in front and the one behind.
        distance: z in m; below 0 light is sent back.
        method: See above.
        evanescent: What the angular spectrum does where the root is imaginary: 0 ("cut"), or
            exp(-2 pi |z| / lambda sqrt((lambda fx)^2 + (lambda fy)^2 - 1)) ("decay"), which never grows, not even for a
            z below 0. The band limit always leaves these waves out, and the paraxial form has none.

    Returns:
        [rows, columns] complex128 on the CPU, frequencies in the order of `torch.fft.fftfreq`. It is computed once for
        the same arguments, and each caller gets a copy of its own.

    Raises:
        ValueError: There is no such grid (`grid.check`), method or treatment of evanescent waves.
    """
    check(grid, distance)
    if method not in ("angular_spectrum", "band_limited", "fresnel"):
        raise ValueError(f"there is no method `{method}`; take `angular_spectrum`, `band_limited` or `fresnel`")
    if evanescent not in ("cut", "decay"):
        raise ValueError(f"evanescent waves are `cut` or `decay`, got `{evanescent}`")
    return _transfer(grid, float(distance), method, evanescent).clone()


def band_limit(grid: Grid, distance: float) -> tuple[float, float]:
    """Highest frequencies (along y, along x) in 1/m whose phase a grid still samples twice a cycle.

    1 / (lambda sqrt((2 z / L)^2 + 1)), with L the side of the grid, padding included: Matsushima and Shimobaba, Opt.
    Express 17, 19662 (2009).

    Raises:
        ValueError: There is no such grid.
    """
    check(grid, distance)
    sides = grid.rows * grid.pixel, grid.columns * grid.pixel
    low, high = (1 / (grid.wavelength * math.hypot(2 * distance / side, 1)) for side in sides)
    return low, high


def critical_distance(grid: Grid) -> float:
    """Distance in m up to which the band limit cuts nothing off: every wave of the grid is sampled finely enough.

    It is 0 where the pixel is below the wavelength over sqrt(2): the grid then holds evanescent waves, too.

    Raises:
        ValueError: There is no such grid.
    """
    check(grid)
    finest = (2 * grid.pixel / grid.wavelength) ** 2 - 2  # 1 for the frequency across, in the corner of the spectrum
    return min(grid.rows, grid.columns) * grid.pixel / 2 * math.sqrt(max(finest, 0.0))


def displacement(rows: int, columns: int, dy: float | Tensor, dx: float | Tensor) -> Tensor:
    """Transfer function [rows, columns], complex128, that moves a field by (dy, dx) samples, whole or not.

    Differentiable by tensors `dy` and `dx` [] in float64 on the CPU, where the result is, too.
    """
    fy, fx = frequencies(Grid(rows, columns, 1.0, 1.0))
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
        way * displacement(way.shape[0], way.shape[1], y0 - y1, x0 - x1).to(way)
        for way, ((y0, x0), (y1, x1)) in zip(transfers, pairwise(places), strict=True)
    )


@lru_cache(maxsize=8)
def _transfer(grid: Grid, distance: float, method: Method, evanescent: Evanescent) -> Tensor:
    fy, fx = frequencies(grid)
    sines = (grid.wavelength * fy).square() + (grid.wavelength * fx).square()
    turns = distance / grid.wavelength
    if method == "fresnel":
        return _wave(turns * (1 - sines / 2))
    wave = _wave(turns * (1 - sines).clamp(min=0).sqrt())
    if method == "band_limited":
        return wave * _well_sampled(grid, distance)
    if evanescent == "cut":
        return wave * (sines <= 1)
    return wave * torch.exp(-2 * math.pi * abs(turns) * (sines - 1).clamp(min=0).sqrt())


def _wave(turns: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(turns), 2 * math.pi * turns)


def _well_sampled(grid: Grid, distance: float) -> Tensor:
    """Where the phase turns by less than pi between neighbouring frequencies: within two ellipses, not evanescent."""
    fy, fx = frequencies(grid)
    limit_y, limit_x = band_limit(grid, distance)
    across = (grid.wavelength * fy).square() + (fx / limit_x).square() <= 1
    along = (fy / limit_y).square() + (grid.wavelength * fx).square() <= 1
    return across & along
