"""Thin masks that light passes: phases in turns (1 is 2 pi), amplitudes, and what is imperfect about them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightloom.physics.diffraction.propagate import pad
from lightloom.physics.rounding import check_bits, straight_through


def phase_mask(turns: Tensor, rows: int, columns: int) -> Tensor:
    """Transmission exp(2 pi i turns) of a phase mask in the middle of a grid, 1 around it.

    Args:
        turns: [..., n, m] phases in turns, float32 or float64.
        rows: Of the grid, at least n.
        columns: Of the grid, at least m.

    Returns:
        [..., rows, columns], complex.

    Raises:
        ValueError: The mask is larger than the grid.
    """
    return pad(torch.polar(torch.ones_like(turns), 2 * math.pi * turns), rows, columns, 1.0)


def amplitude_mask(transmission: Tensor, rows: int, columns: int, outside: float = 1.0) -> Tensor:
    """Transmission of an amplitude mask in the middle of a grid.

    Args:
        transmission: [..., n, m] of the field, 0 ... 1 where the mask does not amplify.
        rows: Of the grid, at least n.
        columns: Of the grid, at least m.
        outside: Transmission around the mask; 0 is an aperture.

    Returns:
        [..., rows, columns], real.

    Raises:
        ValueError: The mask is larger than the grid.
    """
    return pad(transmission, rows, columns, outside)


def quantise(turns: Tensor, bits: int | None) -> Tensor:
    """Round phases to the nearest of 2^bits levels that divide a turn evenly; the gradient is that of the identity.

    Args:
        turns: Any shape; any number of whole turns is kept, light does not see it.
        bits: At least 1; None leaves the phases exact.

    Raises:
        ValueError: `bits` is below 1.
    """
    if bits is None:
        return turns
    check_bits(bits, "a phase mask")
    levels = 2**bits
    return straight_through((turns.detach() * levels).round_().div_(levels), turns)


def phase_noise(turns: Tensor, fraction: float, std: float, generator: torch.Generator | None = None) -> Tensor:
    """Add a normal error to some of the phases, drawn anew at every call.

    Args:
        turns: Any shape.
        fraction: Chance of each phase to be one of them, 0 ... 1.
        std: Standard deviation of the error in turns; 0 is none.
        generator: Where the randomness comes from.

    Raises:
        ValueError: `fraction` is outside 0 ... 1 or `std` below 0.
    """
    if not (0 <= fraction <= 1 and std >= 0):
        raise ValueError(f"fraction {fraction:g}, std {std:g}; expected a fraction in 0 ... 1 and a std of 0 or more")
    if fraction == 0 or std == 0:
        return turns
    device = turns.device if generator is None else generator.device
    hit = torch.rand(turns.shape, generator=generator, device=device) < fraction
    error = torch.randn(turns.shape, generator=generator, device=device, dtype=turns.dtype).mul_(std)
    return turns + (hit * error).to(turns.device)
