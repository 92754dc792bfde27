"""Singular values and vectors of very many small matrices."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.compiled.operators import address, define, leading, ready, serves

_LARGEST = 32  # beyond, LAPACK is as fast on one matrix at a time
_COUNT, _POINTER = ctypes.c_int64, ctypes.c_void_p


class Factors(NamedTuple):
    """A matrix is u diag(sigma) v."""

    u: Tensor
    """[..., k, k], orthogonal."""
    sigma: Tensor
    """[..., k], descending, at least 0."""
    v: Tensor
    """[..., k, k], orthogonal; already transposed."""


def svd(matrices: Tensor) -> Factors:
    """The singular value decomposition of square matrices, to rounding, with signs that do not depend on the method.

    Compiled, by one-sided Jacobi rotations (Hestenes, J. SIAM 6, 51 (1958)) of eight matrices at once; else by LAPACK.
    Of each left vector the largest element is positive. Vectors that belong to equal singular values, or to 0, are any
    that complete the basis.

    Args:
        matrices: [..., k, k] float64.

    Raises:
        ValueError: They are not square, or hold NaN or infinity.
        TypeError: The dtype is another.
    """
    if matrices.dtype != torch.float64:
        raise TypeError(f"matrices to decompose are float64, not {matrices.dtype}")
    if matrices.ndim < 2 or matrices.shape[-1] != matrices.shape[-2]:
        raise ValueError(f"matrices to decompose are square [..., k, k]; given shape {tuple(matrices.shape)}")
    return Factors(*_svd(matrices.detach()))


def _run(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if 0 < matrices.shape[-1] <= _LARGEST and serves(matrices):
        factors = _compiled(ready(matrices))
        if factors is not None:
            return factors
    if not matrices.isfinite().all():
        raise ValueError("the matrices to decompose hold NaN or infinity")
    u, sigma, v = torch.linalg.svd(matrices)
    signs = torch.where(u.gather(-2, u.abs().argmax(-2, keepdim=True)) < 0, -1.0, 1.0)
    return (u * signs).contiguous(), sigma, (v * signs.mT).contiguous()


def _fake(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    square = matrices.new_empty(matrices.shape)
    return square, matrices.new_empty(matrices.shape[:-1]), torch.empty_like(square)


_svd = define("blocks_svd(Tensor matrices) -> (Tensor u, Tensor sigma, Tensor v)", _run, _fake, leading)


def _compiled(matrices: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """None where the rotations do not converge, as they never do with NaN."""
    size = matrices.shape[-1]
    factors = torch.empty_like(matrices), matrices.new_empty(matrices.shape[:-1]), torch.empty_like(matrices)
    pointers = (address(tensor, torch.float64) for tensor in (matrices, *factors))
    unfinished = _function(compiled.library())(matrices.numel() // size**2, size, *pointers, torch.get_num_threads())
    return None if unfinished else factors


@lru_cache(maxsize=2)
def _function(library: ctypes.CDLL | None) -> Callable[..., int]:
    assert library is not None  # `serves` looked
    function = library.blocks_svd
    function.argtypes, function.restype = (*[_COUNT] * 2, *[_POINTER] * 4, _COUNT), _COUNT
    return function
