"""Singular values as attenuators make them."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.compiled.operators import address, define, leading, ready, serves
from lightloom.physics.phases import truncated_noise
from lightloom.physics.rounding import check_bits, quantise, straight_through

_LARGEST = 512  # values of a block that the kernel holds at once
_DTYPES = {torch.float32: "float32", torch.float64: "float64"}
_ARGUMENTS = (*[ctypes.c_int64] * 3, ctypes.c_double, *[ctypes.c_void_p] * 4)


def realise(
    angles: Tensor, *, bits: int | None = None, gamma_ratio: Tensor | None = None, noise_std: float = 0.0
) -> Tensor:
    """The angles that attenuators are at when the controller asks for `angles`, without a gradient of rounding's own.

    Args:
        angles: [..., k] in rad, in [0, pi]: an attenuator leaves their cosine of the field.
        bits: Drive resolution over [0, pi]; None is exact.
        gamma_ratio: [..., k] true over nominal gamma of each device; None is a perfect drive.
        noise_std: Standard deviation of dynamic noise in rad; 0 is none.
    """
    realised = quantise(angles, bits, span=math.pi)
    if gamma_ratio is not None:
        realised = realised * gamma_ratio
    return realised if noise_std == 0 else realised + truncated_noise(realised, noise_std)


def attenuate(
    values: Tensor,
    *,
    bits: int | None = None,
    gamma_ratio: Tensor | None = None,
    noise_std: float = 0.0,
    least_gain: Tensor | None = None,
) -> Tensor:
    """The singular values that a row of attenuators realises when the controller asks for `values`.

    Each value is gain x cos(phase) with the phase in [0, pi] and one electronic gain per block, the largest |value| or
    more.
    Attenuators stand apart, so they see no crosstalk, and their bias is found with one power meter, so they have
    none (as published). The gradient is that of the identity: d cos / d value is 1 up to the device's error, and its
    exact form is singular at the largest value of every block.

    Args:
        values: [..., k], signed, one block in the last dimension.
        bits: Drive resolution over [0, pi]; None is exact.
        gamma_ratio: [..., k] true over nominal gamma of each device; None is a perfect drive.
        noise_std: Dynamic phase noise, rad.
        least_gain: [...], at least 0: a gain is not below this; None is 0.

    Returns:
        [..., k]; a block of zeros stays zero.

    Raises:
        ValueError: `bits` is below 1.
    """
    if bits is not None:
        check_bits(bits)
    exact = values.detach()
    ratio = None if gamma_ratio is None else gamma_ratio.detach().expand_as(values)
    least = None if least_gain is None else least_gain.detach().expand(values.shape[:-1])
    realised = _noisy(exact, ratio, least, bits, noise_std) if noise_std > 0 else _attenuate(exact, ratio, least, bits)
    return straight_through(realised, values)


def _noisy(values: Tensor, ratio: Tensor | None, least: Tensor | None, bits: int | None, noise_std: float) -> Tensor:
    # a value of zero lies midway between two levels: single precision would round it by chance
    exact = values.double()
    gain = exact.abs().amax(-1, keepdim=True)
    if least is not None:
        gain = torch.maximum(gain, least.unsqueeze(-1).to(gain.dtype))
    angle = torch.acos((exact / torch.where(gain > 0, gain, 1)).clamp(-1, 1))
    angle = realise(angle, bits=bits, gamma_ratio=ratio, noise_std=noise_std)
    return (gain * torch.cos(angle)).to(values.dtype)


def _run(values: Tensor, ratio: Tensor | None, least: Tensor | None, bits: int | None) -> Tensor:
    small = values.shape[-1] <= _LARGEST and values.dtype in _DTYPES
    if small and serves(values, ratio, least):
        return _compiled(values, ratio, least, bits)
    return _noisy(values, ratio, least, bits, 0.0)


def _fake(values: Tensor, ratio: Tensor | None, least: Tensor | None, bits: int | None) -> Tensor:
    return torch.empty_like(values, memory_format=torch.contiguous_format)


_attenuate = define("attenuate(Tensor values, Tensor? ratio, Tensor? least, int? bits) -> Tensor", _run, _fake, leading)


def _compiled(values: Tensor, ratio: Tensor | None, least: Tensor | None, bits: int | None) -> Tensor:
    step = 0.0 if bits is None else math.pi / (2**bits - 1)
    dtype, size = values.dtype, values.shape[-1]
    values = ready(values)
    ratio = None if ratio is None else ready(ratio.to(dtype))
    least = None if least is None else ready(least.to(dtype))
    realised = torch.empty_like(values)
    function = _function(compiled.library(), f"attenuate_{_DTYPES[dtype]}")
    addresses = (address(tensor, dtype) for tensor in (values, ratio, least, realised))
    function(values.numel() // size, size, torch.get_num_threads(), step, *addresses)
    return realised


@lru_cache(maxsize=4)
def _function(library: ctypes.CDLL | None, name: str) -> Callable[..., Any]:
    function = getattr(library, name)
    function.argtypes, function.restype = _ARGUMENTS, None
    return function  # type: ignore[no-any-return]  # ctypes knows no types
