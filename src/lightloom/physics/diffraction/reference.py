"""Diffraction by direct summation, slow and without transforms or a periodic grid: what the others are measured by."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightloom.physics.diffraction.grid import Grid, Length, double, number, size
from lightloom.physics.diffraction.grid import check as check_grid
from lightloom.physics.diffraction.guard import Check, check_name, metres, say
from lightloom.physics.diffraction.sampling import power
from lightloom.physics.execution import has_numbers

_GAIN = 0.01  # of a sum over samples instead of an integral


def rayleigh_sommerfeld(field: Tensor, grid: Grid, distance: Length, check: Check = "warn") -> Tensor:
    """The first Rayleigh-Sommerfeld integral, as a sum over the samples of the plane in front.

    u(x, y) = sum u'(x', y') z / (2 pi r^2) (1/r - i k) exp(i k r) pixel^2, r the distance of both samples (Goodman,
    Introduction to Fourier Optics, 3.5). It holds where the kernel is well sampled: by pixels of half a wavelength or
    less, or up to angles whose sine is lambda / (2 pixel); and where z is large against the pixel. Elsewhere the
    samples act as a grating, and more light arrives than has left. Takes (rows columns)^2 steps. Light that leaves the
    grid is gone.

    Args:
        field: [..., rows, columns], complex or real.
        grid: Of both planes; gradients flow through a tensor `pixel` or `wavelength`.
        distance: z in m, not 0; gradients flow through a tensor. Below 0 light is sent back by the complex conjugate
            of the kernel, as by `transfer`.
        check: What is done where more light arrives than has left: a `SamplingWarning`, a ValueError ("refuse"), or
            nothing ("ignore").

    Returns:
        [..., rows, columns] complex128.

    Raises:
        ValueError: There is no such grid or check, the field is of another size, the distance is 0, or the light is
            refused.
        TypeError: A length is a tensor of another kind of numbers.
    """
    check_grid(grid, distance)
    check_name(check)
    if field.shape[-2:] != (grid.rows, grid.columns):
        raise ValueError(
            f"a field of {size(field)} samples on a grid of {grid.rows} x {grid.columns}; pad it to the grid"
        )
    if number("distance", distance) == 0:
        raise ValueError("a distance of 0, where the kernel has no value; the field itself is the answer")
    source = field.to(torch.complex128)
    kernel = _kernel(grid, distance, field.device)
    columns = torch.arange(grid.columns, device=field.device)
    across = (columns - columns[:, None]).abs()  # from the column of the source to that of the result
    result = torch.zeros_like(source)
    for step in range(1 - grid.rows, grid.rows):
        lit = source[..., max(-step, 0) : grid.rows - max(step, 0), :] @ kernel[abs(step)][across]
        result = result + pad(lit, (0, 0, max(step, 0), max(-step, 0)))
    lengths = [length for length in (distance, grid.pixel, grid.wavelength) if isinstance(length, Tensor)]
    if check != "ignore" and has_numbers(field, *lengths):
        gain = float(power(result.detach()) / power(source.detach()))
        say(_problems(gain, grid), check, 1)
    return result


def _problems(gain: float, grid: Grid) -> list[str]:
    if not gain > 1 + _GAIN:
        return []
    least = metres(max(grid[:2]) * float(torch.as_tensor(grid.pixel**2 / grid.wavelength).detach()))
    return [
        f"{gain:.3g} times the light that left has arrived: the samples are too coarse for the kernel, and act as a "
        f"grating; expected {1 + _GAIN:g} times at most: take a distance of {least} or more, or finer samples."
    ]


def _kernel(grid: Grid, distance: Length, device: torch.device) -> Tensor:
    """What a sample adds to one that is so many rows and columns away: [rows, columns]."""
    y, x = (torch.arange(count, dtype=torch.float64, device=device) for count in (grid.rows, grid.columns))
    z, pixel = (
        torch.as_tensor(double(length), device=device, dtype=torch.float64) for length in (distance, grid.pixel)
    )
    wave_number = z.sign() * (2 * math.pi / double(grid.wavelength))  # of both signs: light that is sent back
    r = ((y.square()[:, None] + x.square()) * pixel.square() + z.square()).sqrt()
    strength = z.abs() * pixel.square() / (2 * math.pi * r.square())
    return torch.complex(strength / r, -wave_number * strength) * torch.polar(torch.ones_like(r), wave_number * r)
