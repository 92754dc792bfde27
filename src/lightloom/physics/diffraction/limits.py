"""Limits of sampled light in closed form: up to where a grid follows free space, a lens, or the paraxial form.

Each takes numbers or tensors [] for lengths, and gives what it was given; gradients flow through tensors.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightloom.physics.diffraction.grid import Grid, Length, check


def band_limit(grid: Grid, distance: Length) -> tuple[Length, Length]:
    """Highest frequencies (along y, along x) in 1/m whose phase a grid still samples twice a cycle.

    1 / (lambda sqrt((2 z / L)^2 + 1)), with L the side of the grid, padding included: Matsushima and Shimobaba, Opt.
    Express 17, 19662 (2009). Light of this frequency moves sideways by L / 2 on its way.

    Args:
        grid: Samples and their spacing.
        distance: Length of the way in m.

    Raises:
        ValueError: There is no such grid.
    """
    check(grid, distance)
    low, high = (
        1 / (grid.wavelength * root((2 * distance / (count * grid.pixel)) ** 2 + 1))
        for count in (grid.rows, grid.columns)
    )
    return low, high


def critical_distance(grid: Grid) -> Length:
    """Distance in m up to which the band limit cuts nothing off: every wave of the grid is sampled finely enough.

    It is 0 where the pixel is below the wavelength over sqrt(2): the grid then holds evanescent waves, too.

    Raises:
        ValueError: There is no such grid.
    """
    check(grid)
    finest = (2 * grid.pixel / grid.wavelength) ** 2 - 2  # 1 for the frequency across, in the corner of the spectrum
    return min(grid.rows, grid.columns) * grid.pixel / 2 * root(finest)


def paraxial_critical_distance(grid: Grid) -> Length:
    """Distance in m up to which the transfer function of the paraxial form is sampled finely enough.

    It is N pixel^2 / lambda. From there on the paraxial kernel in space is, and light at the edge of the spectrum moves
    by more than half the grid's side (Voelz and Roggemann, Appl. Opt. 48, 6132 (2009)).

    Raises:
        ValueError: There is no such grid.
    """
    check(grid)
    return min(grid.rows, grid.columns) * grid.pixel**2 / grid.wavelength


def shortest_focal_length(grid: Grid, aperture: Length | None = None) -> Length:
    """Focal length in m down to which the grid samples the phase of a lens twice a cycle: D pixel / lambda.

    Args:
        grid: The plane of the lens.
        aperture: Diameter D of the lens in m; None, or one beyond the grid, is the longer side of the grid.

    Raises:
        ValueError: There is no such grid.
    """
    check(grid)
    side = max(grid.rows, grid.columns) * grid.pixel
    if aperture is not None:
        side = torch.minimum(*map(torch.as_tensor, (side, aperture))) if _any(side, aperture) else min(side, aperture)
    return side * grid.pixel / grid.wavelength


def paraxial_phase_error(sine: Length, distance: Length, wavelength: Length) -> Length:
    """Phase in rad by which the paraxial form is off for a wave of this angle.

    It is 2 pi z / lambda (1 - s^2 / 2 - sqrt(1 - s^2)), the first term of which is k z s^4 / 8; of a point x off the
    axis, with s = x / z, k x^4 / (8 z^3).

    Args:
        sine: Of the angle to the axis, 0 ... 1.
        distance: z in m.
        wavelength: In m.
    """
    return 2 * math.pi * distance / wavelength * (1 - sine**2 / 2 - root(1 - sine**2))


def root(value: Length) -> Length:
    """The square root; of what is not above 0 it is 0, without a slope."""
    if not isinstance(value, Tensor):
        return math.sqrt(max(value, 0.0))
    positive = value > 0
    return torch.where(positive, torch.where(positive, value, 1).sqrt(), 0)


def _any(*lengths: Length) -> bool:
    return any(isinstance(length, Tensor) for length in lengths)
