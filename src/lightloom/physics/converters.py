"""Digital-to-analogue and analogue-to-digital conversion at the edge of the optics."""

from __future__ import annotations

import torch
from torch import Tensor

from lightloom.physics.phases import straight_through


def convert(values: Tensor, bits: int | None, *, intensity: bool = False) -> Tensor:
    """Round signals to a signed converter of `bits` bits whose full scale is each sample's largest magnitude.

    Where the signal is an intensity, the positive and the negative values of a sample are sent one after the other,
    each with all 2^bits - 1 steps.

    Full scale is taken per sample (first dimension), so that a result does not depend on what else is in the batch;
    the gain is restored electronically. Levels are -(2^(bits-1) - 1) ... 2^(bits-1) - 1, zero among them; with one
    bit only the sign is left. The gradient is that of the identity.

    Args:
        values: [batch, ...].
        bits: At least 1; None leaves the values exact.
        intensity: Whether light carries the value by its power, which has no sign.

    Raises:
        ValueError: `bits` is below 1.
    """
    if bits is None:
        return values
    if bits < 1:
        raise ValueError(f"a converter has at least 1 bit, got {bits}; use None for an exact converter")
    exact = values.detach()
    scale = exact.abs().amax(tuple(range(1, exact.ndim)), keepdim=True) if exact.ndim > 1 else exact.abs()
    scale = torch.where(scale > 0, scale, 1)
    if bits == 1 and not intensity:
        return straight_through(torch.sign(exact) * scale, values)
    steps = 2**bits - 1 if intensity else 2 ** (bits - 1) - 1
    return straight_through(torch.round(exact / scale * steps) * (scale / steps), values)
