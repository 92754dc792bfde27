"""The compiled way through small blocks, for real CPU tensors: plain calls into `lightloom.physics.compiled`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightloom.physics import compiled

_SIZES = range(2, 17)  # from 16 on, torch's batched products are as fast
_DTYPES = {torch.float32: "float32", torch.float64: "float64"}
_ARGUMENTS = (*[ctypes.c_int64] * 7, *[ctypes.c_void_p] * 4)


def usable(u: Tensor) -> bool:
    """Whether the kernels are built and serve blocks such as `u` [groups, p, q, k, k]."""
    return u.device.type == "cpu" and u.dtype in _DTYPES and u.shape[-1] in _SIZES and compiled.library() is not None


def assemble(u: Tensor, sigma: Tensor, v: Tensor, rows: int, columns: int) -> Tensor:
    """As `blocks.assemble`, without a gradient."""
    joined = u.new_empty(u.shape[0] * rows, columns)
    _call("assemble", rows, columns, u, sigma, v, joined)
    return joined


def sigma_slope(u: Tensor, v: Tensor, upstream: Tensor) -> Tensor:
    """diag(U^T dW V^T) of every block [groups, p, q, k], from dW [groups, rows, columns]."""
    slope = u.new_empty(u.shape[:-1])
    _call("slope", upstream.shape[1], upstream.shape[2], u, v, upstream, slope)
    return slope


def _call(kernel: str, rows: int, columns: int, *tensors: Tensor) -> None:
    held = [tensor.contiguous() for tensor in tensors]  # a copy made here must live until the call is over
    function = _function(compiled.library(), f"blocks_{kernel}_{_DTYPES[held[0].dtype]}")
    groups, p, q, size = held[0].shape[:4]
    function(groups, p, q, size, rows, columns, torch.get_num_threads(), *(tensor.data_ptr() for tensor in held))


@lru_cache(maxsize=8)
def _function(library: ctypes.CDLL, name: str) -> Callable[..., Any]:
    function = getattr(library, name)
    function.argtypes, function.restype = _ARGUMENTS, None
    return function  # type: ignore[no-any-return]  # ctypes knows no types
