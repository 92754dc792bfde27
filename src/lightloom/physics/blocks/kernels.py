"""The compiled way through small blocks, for real CPU tensors: plain calls into `lightloom.physics.compiled`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.compiled.operators import address, ready, serves

_SIZES = range(2, 17)  # from 16 on, torch's batched products are as fast
_DTYPES = {torch.float32: "float32", torch.float64: "float64"}
_ARGUMENTS = (*[ctypes.c_int64] * 7, *[ctypes.c_void_p] * 4)


def usable(u: Tensor, *others: Tensor) -> bool:
    """Whether the kernels are built and serve blocks such as `u` [groups, p, q, k, k], and others of its dtype."""
    alike = u.dtype in _DTYPES and all(other.dtype == u.dtype for other in others)
    return alike and u.shape[-1] in _SIZES and serves(u, *others)


def assemble(u: Tensor, sigma: Tensor, v: Tensor, rows: int, columns: int) -> Tensor:
    """Compute `blocks.assemble` without a gradient.

    Args:
        u: [groups, p, q, k, k].
        sigma: [groups, p, q, k].
        v: [groups, p, q, k, k].
        rows: Rows of each group's matrix.
        columns: Columns of each group's matrix.
    """
    joined = u.new_empty(u.shape[0] * rows, columns)
    _call("assemble", rows, columns, u, sigma, v, joined)
    return joined


def sigma_slope(u: Tensor, v: Tensor, upstream: Tensor) -> Tensor:
    """diag(U^T dW V^T) of every block [groups, p, q, k], from dW [groups, rows, columns].

    Args:
        u: [groups, p, q, k, k].
        v: [groups, p, q, k, k].
        upstream: dW [groups, rows, columns], the gradient of the matrices.
    """
    slope = u.new_empty(u.shape[:-1])
    _call("slope", upstream.shape[1], upstream.shape[2], u, v, upstream, slope)
    return slope


def _call(kernel: str, rows: int, columns: int, *tensors: Tensor) -> None:
    arrays = [ready(tensor) for tensor in tensors]  # a copy made here must live until the call is over
    dtype = arrays[0].dtype
    function = _function(compiled.library(), f"blocks_{kernel}_{_DTYPES[dtype]}")
    groups, p, q, size = arrays[0].shape[:4]
    addresses = (address(tensor, dtype) for tensor in arrays)
    function(groups, p, q, size, rows, columns, torch.get_num_threads(), *addresses)


@lru_cache(maxsize=8)
def _function(library: ctypes.CDLL | None, name: str) -> Callable[..., Any]:
    function = getattr(library, name)
    function.argtypes, function.restype = _ARGUMENTS, None
    return function  # type: ignore[no-any-return]  # ctypes knows no types
