"""Diffraction by direct summation, slow and without transforms or a periodic grid: what the others are measured by."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightloom.physics.diffraction.grid import Grid, check, size


def rayleigh_sommerfeld(field: Tensor, grid: Grid, distance: float) -> Tensor:
    """The first Rayleigh-Sommerfeld integral, as a sum over the samples of the plane in front.

    u(x, y) = sum u'(x', y') z / (2 pi r^2) (1/r - i k) exp(i k r) pixel^2, r the distance of both samples (Goodman,
    Introduction to Fourier Optics, 3.5). It holds where the kernel is well sampled: by pixels of half a wavelength or
    less, or up to angles whose sine is lambda / (2 pixel); and where z is large against the pixel. Takes
    (rows columns)^2 steps. Light that leaves the grid is gone.

    Args:
        field: [..., rows, columns], complex or real.
        grid: Of both planes.
        distance: z in m, not 0. Below 0 light is sent back by the complex conjugate of the kernel, as by `transfer`.

    Returns:
        [..., rows, columns] complex128.

    Raises:
        ValueError: There is no such grid, the field is of another size, or the distance is 0.
    """
    check(grid, distance)
    if field.shape[-2:] != (grid.rows, grid.columns):
        raise ValueError(
            f"a field of {size(field)} samples on a grid of {grid.rows} x {grid.columns}; pad it to the grid"
        )
    if distance == 0:
        raise ValueError("a distance of 0, where the kernel has no value; the field itself is the answer")
    source = field.to(torch.complex128)
    result = torch.zeros_like(source)
    columns = torch.arange(grid.columns, dtype=torch.float64, device=field.device)
    across = (columns - columns[:, None]) * grid.pixel  # from the column of the source to that of the result
    for step in range(1 - grid.rows, grid.rows):
        kernel = _kernel(step * grid.pixel, across, grid, distance)
        first, last = max(step, 0), grid.rows + min(step, 0)
        result[..., first:last, :] += source[..., first - step : last - step, :] @ kernel
    return result


def _kernel(y: float, x: Tensor, grid: Grid, distance: float) -> Tensor:
    """What a sample adds to one at (y, x) from it."""
    z, wave_number = abs(distance), 2 * math.pi / grid.wavelength
    r = (x.square() + (y * y + z * z)).sqrt()
    strength = z * grid.pixel**2 / (2 * math.pi * r.square())
    kernel = torch.complex(strength / r, -wave_number * strength) * torch.polar(torch.ones_like(r), wave_number * r)
    return kernel if distance > 0 else kernel.conj()
