"""The samples of a plane that light crosses: how many, how far apart, and for which wavelength."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.physics.execution import has_numbers

Length = float | Tensor
"""A length in m: a number, or a real tensor [] through which gradients flow. In single precision a length of 0.1 m is
known to a few nanometres, so lengths that light counts waves over are rather float64."""


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
    pixel: Length
    """Distance of neighbouring samples along both, m: the spacing."""
    wavelength: Length
    """Wavelength in the medium between the planes, m."""


def check(grid: Grid, distance: Length = 0.0) -> None:
    """Refuse a grid or a distance that cannot be. While a program is recorded or batched, values pass unseen.

    Args:
        grid: Samples and their spacing.
        distance: Length of the way in m.

    Raises:
        ValueError: A size is below 1, a pixel or wavelength is not above 0, a length is not finite, or a tensor holds
            more than one.
        TypeError: A tensor is not of real floating-point numbers.
    """
    if grid.rows < 1 or grid.columns < 1:
        raise ValueError(f"a grid of {grid.rows} x {grid.columns} samples; give at least 1 x 1")
    for name, length in (("pixel", grid.pixel), ("wavelength", grid.wavelength)):
        value = number(name, length)
        if value is not None and not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} {value:g} m; expected a finite length above 0, such as 1e-6")
    value = number("distance", distance)
    if value is not None and not math.isfinite(value):
        raise ValueError(f"a distance of {value:g} m; expected a finite one, such as 1e-4")


def double(length: Length) -> Length:
    """A length in double precision, with its graph."""
    return length.to(torch.float64) if isinstance(length, Tensor) else float(length)


def place(*lengths: Length) -> torch.device:
    """The device where what depends on these lengths is computed: that of a tensor among them, or the CPU."""
    devices = [length.device for length in lengths if isinstance(length, Tensor)]
    return next((device for device in devices if device.type != "cpu"), torch.device("cpu"))


def size(x: Tensor) -> str:
    """The last two dimensions of `x`, for a message."""
    return " x ".join(str(length) for length in x.shape[-2:])


def frequencies(grid: Grid) -> tuple[Tensor, Tensor]:
    """Spatial frequencies along y [rows, 1] and x [columns], 1/m, float64, in the order of `torch.fft.fftfreq`.

    The order is the plain one for even and odd sizes alike, so that no shift is needed around a transform. (Shifting
    before and after with the two swapped is the same for even sizes only.) They are differentiable by a tensor `pixel`,
    and lie where that is.
    """
    pixel = double(grid.pixel)
    step, device = (pixel, "cpu") if isinstance(pixel, float) else (1.0, pixel.device)
    fy, fx = (torch.fft.fftfreq(count, step, dtype=torch.float64, device=device) for count in (grid.rows, grid.columns))
    if isinstance(pixel, Tensor):
        fy, fx = fy / pixel, fx / pixel
    return fy[:, None], fx


def number(name: str, length: Length) -> float | None:
    """Value of a length, None where it has none to look at.

    Args:
        name: What a message calls the length, such as `wavelength`.
        length: A number in m, or a real tensor [].
    """
    if not isinstance(length, Tensor):
        return float(length)
    if length.ndim:
        raise ValueError(
            f"a {name} of shape {list(length.shape)}; give one length, a number or a tensor [], and map over several "
            "with `torch.func.vmap`"
        )
    if not length.is_floating_point():
        raise TypeError(f"a {name} of {length.dtype}; expected a real floating-point tensor, such as `.double()`")
    return float(length.detach()) if has_numbers(length) else None
