"""The compiled way from weights to levels and through the write-aware penalty, for float tensors on a CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.compiled.operators import address, ready, serves

_DTYPES = {torch.float32: "float32", torch.float64: "float64"}
_COUNT, _REAL, _ADDRESS = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p
_LAYOUT = (*[_COUNT] * 6, _ADDRESS, _ADDRESS)
_TERMS = (_COUNT, _COUNT, _COUNT, _ADDRESS, _ADDRESS)
_ARGUMENTS = {
    "place": (*[_COUNT] * 3, *[_ADDRESS] * 5),
    "fade": (_COUNT, _COUNT, _REAL, *[_ADDRESS] * 3),
    "sums": (*_LAYOUT, *[_ADDRESS] * 3),
    "cost": (*_LAYOUT, *_TERMS, _ADDRESS),
    "pull": (*_LAYOUT, *_TERMS, _COUNT, _REAL, _REAL, *[_ADDRESS] * 5),
}


class Layout(NamedTuple):
    """Where in a matrix the cells of all arrays find their weights, turn by turn."""

    rows: Tensor
    """int32 [A, k]: row of the matrix; -1 none."""
    columns: Tensor
    """int32 [A, 1 or k, Q, k]: column of the matrix; -1 none."""
    natural: bool
    """The columns are as they come; `columns` need not be looked up."""
    width: int
    """Columns of the matrix."""


class Terms(NamedTuple):
    """What the penalty sums up over a layout."""

    squared: bool
    """Squares of differences, instead of magnitudes."""
    start: int
    """State before the first turn: 0 every pair at level 0, 1 as after the last turn, 2 as in the first."""
    reference: Tensor | None
    """[A k or k, k] levels that the level of a cell is compared with; None: what the cell held before."""
    levels: Tensor
    """int8, shaped as the matrix."""


def usable(values: Tensor) -> bool:
    """Whether the kernels are built and serve such tensors."""
    return values.dtype in _DTYPES and serves(values)


def place(values: Tensor, limits: Tensor) -> Tensor:
    """Compute `levels.place` with limits of the dtype of `values`.

    Args:
        values: Any shape, float32 or float64 on the CPU.
        limits: [L], rising, of the same type.
    """
    levels = values.new_empty(values.shape, dtype=torch.int8)
    _place(values, limits, None, levels, None)
    return levels


def place_and_weigh(values: Tensor, limits: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The same levels, and what they are in `weights` [L + 1] by |s|, with their signs.

    Args:
        values: Any shape, float32 or float64 on the CPU.
        limits: [L], rising, of the same type.
        weights: [L + 1], the weight of each magnitude.
    """
    levels, weight = values.new_empty(values.shape, dtype=torch.int8), values.new_empty(values.shape)
    _place(values, limits, weights, levels, weight)
    return levels, weight


def fade(values: Tensor, gain: float, grad: Tensor) -> Tensor:
    """`grad` times the slope of gain x tanh(values / gain).

    Args:
        values: Any shape.
        gain: Scalar g.
        grad: Shaped as `values`.
    """
    values, grad, slope = ready(values), ready(grad), values.new_empty(values.shape)
    addresses = (address(tensor, values.dtype) for tensor in (values, grad, slope))
    _call("fade", values.dtype, values.numel(), torch.get_num_threads(), gain, *addresses)
    return slope


def sums(layout: Layout, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the levels that each cell takes, and their number: int32 [A, k, k] both.

    Args:
        layout: Where each weight is in the order of writing.
        levels: int8 [rows, columns], signed.
    """
    shape = (*layout.rows.shape, layout.rows.shape[1])
    total, number = (layout.rows.new_empty(shape, dtype=torch.int32) for _ in range(2))
    addresses = address(levels, torch.int8), address(total, torch.int32), address(number, torch.int32)
    _call("sums", None, *_layout(layout), *addresses)
    return total, number


def cost(layout: Layout, terms: Terms, dtype: torch.dtype) -> tuple[Tensor, int]:
    """The sum of all terms, float64 [], and how many weights were found.

    Args:
        layout: Where each weight is in the order of writing.
        terms: What the terms are made of.
        dtype: Type in which a term is computed.
    """
    parts = layout.rows.new_empty(layout.rows.numel(), 2, dtype=torch.float64)
    _call("cost", dtype, *_layout(layout), *_terms(terms, dtype), address(parts, torch.float64))
    total, weights = parts.sum(0)
    return total, int(weights)


def pull(
    layout: Layout, terms: Terms, values: Tensor, gain: float, share: float, grad: Tensor | None, slopes: Tensor
) -> Tensor:
    """Gradient of the matrix `values`: of the weight's `grad`, and `share` times that of the terms.

    `slopes` [2, L + 1] gives, by |s|, d u / d level = offset + growth |u|, where u = gain tanh(values / gain).

    Args:
        layout: Where each weight is in the order of writing.
        terms: What the terms are made of.
        values: [rows, columns], the matrix behind the levels.
        gain: Scalar g.
        share: Gradient of the sum of the terms, over their number.
        grad: Gradient of the weight, shaped as `values`.
        slopes: [2, L + 1], value and slope of the straight lines between levels.
    """
    dtype = values.dtype
    values, grad = ready(values), None if grad is None else ready(grad)
    offsets, growths = ready(slopes)
    slope = values.new_empty(values.shape)
    addresses = (address(tensor, dtype) for tensor in (values, grad, offsets, growths, slope))
    numbers = slopes.shape[1], gain, share
    _call("pull", dtype, *_layout(layout), *_terms(terms, dtype), *numbers, *addresses)
    return slope


def _place(values: Tensor, limits: Tensor, weights: Tensor | None, levels: Tensor, weight: Tensor | None) -> None:
    dtype = values.dtype
    values, limits, weights = ready(values), ready(limits), None if weights is None else ready(weights)
    inputs = (address(tensor, dtype) for tensor in (values, limits, weights))
    sizes = values.numel(), len(limits), torch.get_num_threads()
    _call("place", dtype, *sizes, *inputs, address(levels, torch.int8), address(weight, dtype))


def _layout(layout: Layout) -> tuple[Any, ...]:
    arrays, size = layout.rows.shape
    private, turns = layout.columns.shape[1:3]
    sizes = arrays, size, turns, layout.width, private > 1, torch.get_num_threads()
    return *sizes, address(layout.rows, torch.int32), address(None if layout.natural else layout.columns, torch.int32)


def _terms(terms: Terms, dtype: torch.dtype) -> tuple[Any, ...]:
    rows = 0 if terms.reference is None else terms.reference[..., 0].numel()
    return terms.squared, terms.start, rows, address(terms.reference, dtype), address(terms.levels, torch.int8)


def _call(kernel: str, dtype: torch.dtype | None, *arguments: Any) -> None:
    name = f"pcm_{kernel}" if dtype is None else f"pcm_{kernel}_{_DTYPES[dtype]}"
    _function(compiled.library(), kernel, name)(*arguments)


@lru_cache(maxsize=16)
def _function(library: ctypes.CDLL | None, kernel: str, name: str) -> Callable[..., Any]:
    function = getattr(library, name)
    function.argtypes, function.restype = _ARGUMENTS[kernel], None
    return function  # type: ignore[no-any-return]  # ctypes knows no types
