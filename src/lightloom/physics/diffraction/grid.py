"""The samples of a plane that light crosses: how many, how far apart, and for which wavelength."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Grid(NamedTuple):
    """A plane of rows x columns samples, even or odd, square or not.

    The optical axis meets sample (rows//2, columns//2). Light on a grid is periodic: what leaves at one edge comes back
    at the opposite one. A field of n samples that spreads by s samples to each side stays clear of itself on a grid of
    n + 2 s samples or more; 2 n are enough for what still lands within the n (Matsushima and Shimobaba, Opt. Express
    17, 19662 (2009)). `pad` and `crop` lead from one size to the other.
    """

    rows: int
    """Samples along y, the last dimension but one."""
    columns: int
    """Samples along x, the last dimension."""
    pixel: float
    """Distance of neighbouring samples along both, m."""
    wavelength: float
    """In the medium between the planes, m."""


def check(grid: Grid, distance: float = 0.0) -> None:
    """Refuse a grid or a distance that cannot be.

    Raises:
        ValueError: A size is below 1, a pixel or wavelength is not above 0, or a length is not finite.
    """
    if grid.rows < 1 or grid.columns < 1:
        raise ValueError(f"a grid of {grid.rows} x {grid.columns} samples; give at least 1 x 1")
    for name, length in (("pixel", grid.pixel), ("wavelength", grid.wavelength)):
        if not (math.isfinite(length) and length > 0):
            raise ValueError(f"{name} {length:g} m; expected a finite length above 0, such as 1e-6")
    if not math.isfinite(distance):
        raise ValueError(f"a distance of {distance:g} m; expected a finite one, such as 1e-4")


def size(x: Tensor) -> str:
    """The last two dimensions of `x`, for a message."""
    return " x ".join(str(length) for length in x.shape[-2:])


def frequencies(grid: Grid) -> tuple[Tensor, Tensor]:
    """Spatial frequencies along y [rows, 1] and x [columns], 1/m, float64, in the order of `torch.fft.fftfreq`.

    The order is the plain one for even and odd sizes alike, so that no shift is needed around a transform. (Shifting
    before and after with the two swapped is the same for even sizes only.)
    """
    fy, fx = (
        torch.fft.fftfreq(count, grid.pixel, dtype=torch.float64, device="cpu") for count in (grid.rows, grid.columns)
    )
    return fy[:, None], fx
