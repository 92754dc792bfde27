"""Rounding to the levels of a converter, with the gradient of what was not rounded."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lightloom.physics.execution import eager, forward_mode


def straight_through(rounded: Tensor, exact: Tensor) -> Tensor:
    """The value of `rounded` with the gradient of `exact`.

    Args:
        rounded: Any shape, the value.
        exact: Same shape, whose gradient it has.
    """
    if not eager() or forward_mode():
        return rounded.detach() + (exact - exact.detach())  # a difference of exactly 0
    if not exact.requires_grad:
        return rounded
    value: Tensor = _StraightThrough.apply(rounded, exact)  # type: ignore[no-untyped-call]
    return value


def check_bits(bits: int, what: str = "a converter") -> None:
    """Refuse a width without a level to round to.

    Args:
        bits: Width in bits.
        what: What has that width, for the message.

    Raises:
        ValueError: `bits` is below 1.
    """
    if bits < 1:
        raise ValueError(f"{what} has at least 1 bit, got {bits}; use None for an exact one")


def quantise(values: Tensor, bits: int | None, *, span: float) -> Tensor:
    """Round to the nearest of the 2^bits levels that divide [0, span] evenly, both ends included.

    Args:
        values: Any shape, in [0, span].
        bits: Width of the drive's converter, at least 1; None leaves the values exact.
        span: Full scale: 2 pi for a phase shifter of a mesh, pi for an attenuator.

    Raises:
        ValueError: `bits` is below 1.
    """
    if bits is None:
        return values
    check_bits(bits)
    step = span / (2**bits - 1)
    return straight_through((values.detach() / step).round_().mul_(step), values)


class _StraightThrough(torch.autograd.Function):
    """The first argument forwards, the second backwards; exact, where a + (b - a) would round."""

    @staticmethod
    def forward(ctx: Any, rounded: Tensor, exact: Tensor) -> Tensor:
        return rounded.clone() if rounded is exact else rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, grad
