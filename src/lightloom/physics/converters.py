"""Digital-to-analogue and analogue-to-digital conversion at the edge of the optics."""

from __future__ import annotations

import torch
from torch import Tensor

from lightloom.physics.rounding import check_bits, straight_through


def convert(
    values: Tensor, bits: int | None, *, dims: int, intensity: bool = False, full_scale: Tensor | None = None
) -> Tensor:
    """Round signals to a signed converter of `bits` bits.

    One signal is what the last `dims` dimensions hold: a vector, a sequence or an image of channels. With a dynamic
    range, full scale is the largest magnitude of each signal, and the gain is restored electronically; a result then
    depends on nothing else that is in the tensor. With a static one, full scale is given, and what lies beyond it is
    clipped.

    Where the signal is an intensity, its positive and negative values are sent one after the other, each with all
    2^bits - 1 steps. Otherwise levels are -(2^(bits-1) - 1) ... 2^(bits-1) - 1, zero among them; with one bit only the
    sign is left. The gradient is that of the identity, and 0 where a value is clipped.

    Args:
        values: [..., *signal].
        bits: At least 1; None leaves the values exact.
        dims: Dimensions of one signal, at least 1 and at most those of `values`.
        intensity: Whether light carries the value by its power, which has no sign.
        full_scale: A positive scalar, the static range; None is the dynamic one.

    Raises:
        ValueError: `bits` or `dims` is below 1, or `values` has fewer dimensions than a signal.
    """
    if bits is None:
        return values
    check_bits(bits)
    if not 1 <= dims <= values.ndim:
        raise ValueError(f"a signal of {dims} dimensions is not in a tensor of shape {tuple(values.shape)}")
    if full_scale is None:
        scale = largest_magnitude(values, dims)
        scale = torch.where(scale > 0, scale, 1)
    else:
        scale = full_scale
        values = torch.clamp(values, -scale, scale)
    exact = values.detach()
    if bits == 1 and not intensity:
        return straight_through(torch.sign(exact) * scale, values)
    steps = 2**bits - 1 if intensity else 2 ** (bits - 1) - 1
    return straight_through(torch.round(exact / scale * steps) * (scale / steps), values)


def largest_magnitude(values: Tensor, dims: int) -> Tensor:
    """The largest |value| of each signal [..., 1 ...], detached; a signal is what the last `dims` dimensions hold.

    Args:
        values: [..., *signal].
        dims: Dimensions of one signal.
    """
    # a signal without a value, such as an image of no pixels, has no largest one
    if not values.numel():
        return values.new_zeros((*values.shape[: values.ndim - dims], *[1] * dims))
    return values.detach().abs().amax(tuple(range(-dims, 0)), keepdim=True)
