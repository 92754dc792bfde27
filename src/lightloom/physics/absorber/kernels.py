"""The compiled way through a saturable medium, for float tensors on a CPU and a medium of plain numbers."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.absorber.media import Medium
from lightloom.physics.absorber.propagation import solvable, steps
from lightloom.physics.compiled.operators import address, serves

_DTYPES = {torch.float32: "float32", torch.float64: "float64"}
_COUNT, _REAL, _ADDRESS = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p
_ARGUMENTS = (*[_COUNT] * 7, *[_REAL] * 4, *[_ADDRESS] * 4)
_THIN, _HOMOGENEOUS, _INHOMOGENEOUS, _INTEGRATED = range(4)


def usable(x: Tensor) -> bool:
    """Whether the kernels are built and serve this."""
    return x.dtype in _DTYPES and serves(x)


def respond(
    x: Tensor, medium: Medium, amplitude: bool, exact: bool, probe: Tensor | float
) -> tuple[Tensor, Tensor, tuple[bool, bool]]:
    """The output and factor of `response.respond`, and whether NaN and whether negative intensities were found.

    Args:
        x: [...] fields or intensities, float32 or float64 on the CPU.
        medium: What the light meets, its properties being numbers.
        amplitude: Whether `x` is fields.
        exact: Whether the factor is the derivative of the output; otherwise it is the transmission.
        probe: Intensity of light from the other side.
    """
    x = x.resolve_neg()
    output = torch.empty_like(x)
    if output.stride() != x.stride():  # x has gaps or overlaps
        x = x.contiguous()
        output = torch.empty_like(x)
    factor = torch.empty_like(output)
    probes = torch.empty_like(output).copy_(probe) if isinstance(probe, Tensor) else None
    depth, saturation = (float(value) for value in medium[:2])
    sizes = x.numel(), torch.get_num_threads(), _form(medium), steps(depth, medium.residual)
    numbers = depth, 1 / saturation, medium.residual, 0.0 if isinstance(probe, Tensor) else probe
    flags = _function(compiled.library(), x.dtype)(
        *sizes,
        medium.broadening == "inhomogeneous",
        amplitude,
        exact,
        *numbers,
        *(address(tensor, x.dtype, dense=False) for tensor in (x, probes, output, factor)),
    )
    return output, factor, (bool(flags & 1), bool(flags & 2))


def _form(medium: Medium) -> int:
    if medium.form == "thin":
        return _THIN
    if not solvable(medium):
        return _INTEGRATED
    return _HOMOGENEOUS if medium.broadening == "homogeneous" else _INHOMOGENEOUS


@lru_cache(maxsize=8)
def _function(library: ctypes.CDLL | None, dtype: torch.dtype) -> Callable[..., int]:
    function = getattr(library, f"absorber_respond_{_DTYPES[dtype]}")
    function.argtypes, function.restype = _ARGUMENTS, _COUNT
    return function  # type: ignore[no-any-return]  # ctypes knows no types
