"""Transmission levels of phase-change cells, and signed levels of the pairs that make weights.

A cell has L + 1 levels: n of its L steps crystallised, transmission t[n], falling. The pair at signed level s has its
positive cell at n = L - max(s, 0) and its negative one at n = L - max(-s, 0), so its weight is

    sign(s) (t[L - |s|] - t[L]) / (t[0] - t[L]),

in units of the largest: the transmission that every cell keeps cancels, and s = 0 is exactly 0 (Zhu et al., ELight,
ASP-DAC 2022). Signed levels are int8.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import define, one_by_one
from lightloom.physics.execution import has_numbers
from lightloom.physics.pcm import level_kernels

PAD = -128
"""Padding in a tensor of signed levels: nothing sits here, beyond the edge of the matrix; the cell keeps its state."""

MOST_LEVELS = 64
"""Most levels of one cell: a difference of two signed levels then fits int8."""


def transmissions(levels: int, base: float) -> Tensor:
    """Transmissions base^n of a cell whose every step takes the same share of the light.

    Args:
        levels: L + 1, from 2 to `MOST_LEVELS`; a 4-bit cell has 16.
        base: Transmission of one step, between 0 and 1; 0.872 in the published 4-bit cell.

    Returns:
        [L + 1] float64, from 1 down.

    Raises:
        ValueError: `levels` or `base` is out of its range.
    """
    _check_count(levels)
    if not 0 < base < 1:
        raise ValueError(
            f"the transmission of one step is between 0 and 1, both excluded, got base = {base}; "
            "a step that takes 12.8 % of the light has 0.872"
        )
    return torch.pow(torch.tensor(base, dtype=torch.float64), torch.arange(levels, dtype=torch.float64))


def magnitudes(transmissions: Tensor) -> Tensor:
    """Weights of the signed levels 0 ... L, in units of the largest.

    Args:
        transmissions: [L + 1], strictly falling, in (0, 1]; as computed or as measured.

    Returns:
        [L + 1] float64, strictly rising, exactly 0 and 1 at its ends.

    Raises:
        ValueError: The transmissions are not such a list.
    """
    if transmissions.ndim != 1:
        raise ValueError(f"transmissions are one list, [levels], got the shape {list(transmissions.shape)}")
    _check_count(len(transmissions))
    exact = transmissions.double()
    if has_numbers(exact):
        _check_fall(exact)
    contrasts = (exact - exact[-1]).flip(0)
    return contrasts / contrasts[-1]


def _check_fall(exact: Tensor) -> None:
    if not ((exact > 0) & (exact <= 1)).all():
        raise ValueError(f"transmissions are above 0 and at most 1, got {exact.tolist()}; give shares, not dB or %")
    if not (exact.diff() < 0).all():
        raise ValueError(
            f"transmissions fall strictly, the most transparent level first, got {exact.tolist()}; "
            "sort them, and leave out what cannot be told apart"
        )


def to_levels(values: Tensor, magnitudes: Tensor) -> Tensor:
    """The signed levels whose weights are nearest to `values`; halfway, the smaller |s|.

    Distance is that of transmissions, not of their logarithms: what counts is the weight. Values are compared with the
    midpoints of the magnitudes and no power or logarithm is computed, so 0 and all that lies nearest to it is level 0.

    Args:
        values: Any shape, in [-1, 1]: weights in units of the largest.
        magnitudes: [L + 1] as `magnitudes` gives them.

    Returns:
        int8, shaped as `values`.

    Raises:
        TypeError: `values` are not real floating-point numbers.
        ValueError: A value is not within [-1, 1], or is NaN.
    """
    values = values.detach()
    if not values.is_floating_point():
        raise TypeError(f"weights are floating-point numbers, got {values.dtype}; levels need no conversion")
    if values.numel() and has_numbers(values):
        low, high = (float(end) for end in values.aminmax())
        if not (low >= -1 and high <= 1):
            raise ValueError(
                f"weights are given in units of the largest, within [-1, 1], got {low:.6g} ... {high:.6g}; "
                "divide them by their largest magnitude"
            )
    return place(values, midpoints(magnitudes))


def from_levels(levels: Tensor, magnitudes: Tensor) -> Tensor:
    """Weights of signed levels, in units of the largest.

    Args:
        levels: Integers of any shape, each within -L ... L.
        magnitudes: [L + 1] as `magnitudes` gives them.

    Returns:
        Shaped as `levels`, of the dtype of `magnitudes`.

    Raises:
        TypeError: `levels` are not integers.
        ValueError: A level is beyond L, or is `PAD`.
    """
    if levels.is_floating_point() or levels.is_complex() or levels.dtype == torch.bool:
        raise TypeError(f"levels are integers, got {levels.dtype}; `to_levels` makes them of weights")
    steps = len(magnitudes) - 1
    if levels.numel() and has_numbers(levels):
        low, high = (int(end) for end in levels.aminmax())
        if low < -steps or high > steps:
            raise ValueError(
                f"signed levels of a pair of {steps + 1}-level cells are within -{steps} ... {steps}, got {low} ... "
                f"{high}; take as many levels as they were made with, and leave out places that hold nothing ({PAD})"
            )
    return signed(magnitudes)[levels.int() + steps]


def midpoints(magnitudes: Tensor) -> Tensor:
    """[L] float64: where the nearest level changes, from |s| = n to n + 1; ValueError if no cell has so many levels."""
    _check_count(len(magnitudes))
    exact = magnitudes.double()
    return (exact[1:] + exact[:-1]) / 2


def signed(magnitudes: Tensor) -> Tensor:
    """[2 L + 1] weights of the levels -L ... L, of [L + 1] magnitudes."""
    return torch.cat((-magnitudes[1:].flip(0), magnitudes))


def place(values: Tensor, limits: Tensor) -> Tensor:
    """The signed level of each value: how many of the rising `limits` [L] float64 its magnitude exceeds, as int8.

    Args:
        values: Any shape.
        limits: [L], rising, float64.
    """
    levels: Tensor = _place(values.detach(), limits.detach())
    return levels


def _run(values: Tensor, limits: Tensor) -> Tensor:
    if values.dtype not in (torch.float32, torch.float64):
        values = values.float()
    limits = rounded_down(limits.to(values.device), values.dtype)
    if level_kernels.usable(values):
        return level_kernels.place(values, limits)
    passed = torch.bucketize(values.abs().contiguous(), limits, out_int32=True)
    return torch.where(values < 0, -passed, passed).to(torch.int8).contiguous()


def _fake(values: Tensor, limits: Tensor) -> Tensor:
    return values.new_empty(values.shape, dtype=torch.int8)


_place = define("pcm_place(Tensor values, Tensor limits) -> Tensor", _run, _fake, one_by_one)


def rounded_down(limits: Tensor, dtype: torch.dtype) -> Tensor:
    """The largest numbers of `dtype` that do not exceed `limits`: numbers of that type exceed both or neither.

    Args:
        limits: Any shape, float64.
        dtype: Type of the result.
    """
    nearest = limits.to(dtype)
    return torch.where(nearest.double() > limits, torch.nextafter(nearest, torch.zeros_like(nearest)), nearest)


def _check_count(levels: int) -> None:
    if not 2 <= levels <= MOST_LEVELS:
        raise ValueError(
            f"a cell has 2 to {MOST_LEVELS} levels, got {levels}; signed levels and their differences are int8"
        )
