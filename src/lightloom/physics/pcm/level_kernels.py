"""The compiled way from weights to levels and through the write-aware penalty, for float tensors on a CPU."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightloom.physics import compiled

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
    """Before the first turn: 0 every pair at level 0, 1 as after the last turn, 2 as in the first."""
    reference: Tensor | None
    """[A k or k, k] levels that the level of a cell is compared with; None: what the cell held before."""
    levels: Tensor
    """int8, shaped as the matrix."""


def usable(values: Tensor) -> bool:
    """Whether the kernels are built and serve such tensors."""
    return values.device.type == "cpu" and values.dtype in _DTYPES and compiled.library() is not None


def place(values: Tensor, limits: Tensor) -> Tensor:
    """As `levels.place`, with limits of the dtype of `values`."""
    levels = torch.empty(values.shape, dtype=torch.int8)
    _place(values, limits, None, levels, None)
    return levels


def place_and_weigh(values: Tensor, limits: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """The same levels, and what they are in `weights` [L + 1] by |s|, with their signs."""
    levels, weight = torch.empty(values.shape, dtype=torch.int8), torch.empty(values.shape, dtype=values.dtype)
    _place(values, limits, weights, levels, weight)
    return levels, weight


def fade(values: Tensor, gain: float, grad: Tensor) -> Tensor:
    """`grad` times the slope of gain x tanh(values / gain)."""
    values, grad, slope = values.contiguous(), grad.contiguous(), torch.empty(values.shape, dtype=values.dtype)
    _call("fade", values.dtype, values.numel(), torch.get_num_threads(), gain, values, grad, slope)
    return slope


def sums(layout: Layout, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the levels that each cell takes, and their number: int32 [A, k, k] both."""
    shape = (*layout.rows.shape, layout.rows.shape[1])
    total, number = torch.empty(shape, dtype=torch.int32), torch.empty(shape, dtype=torch.int32)
    _call("sums", None, *_layout(layout), levels, total, number)
    return total, number


def cost(layout: Layout, terms: Terms, dtype: torch.dtype) -> tuple[Tensor, int]:
    """The sum of all terms, float64 [], and how many weights were found."""
    found = torch.empty(layout.rows.numel(), 2, dtype=torch.float64)
    _call("cost", dtype, *_layout(layout), *_terms(terms), found)
    total, weights = found.sum(0)
    return total, int(weights)


def pull(
    layout: Layout, terms: Terms, values: Tensor, gain: float, share: float, grad: Tensor | None, slopes: Tensor
) -> Tensor:
    """Gradient of the matrix `values`: of the weight's `grad`, and `share` times that of the terms.

    `slopes` [2, L + 1] gives, by |s|, d u / d level = offset + growth |u|, where u = gain tanh(values / gain).
    """
    values, grad = values.contiguous(), None if grad is None else grad.contiguous()
    slope = torch.empty(values.shape, dtype=values.dtype)
    numbers = slopes.shape[1], gain, share
    _call("pull", values.dtype, *_layout(layout), *_terms(terms), *numbers, values, grad, *slopes, slope)
    return slope


def _place(values: Tensor, limits: Tensor, weights: Tensor | None, levels: Tensor, weight: Tensor | None) -> None:
    values = values.contiguous()
    sizes = values.numel(), len(limits), torch.get_num_threads()
    _call("place", values.dtype, *sizes, values, limits, weights, levels, weight)


def _layout(layout: Layout) -> tuple[Any, ...]:
    arrays, size = layout.rows.shape
    private, turns = layout.columns.shape[1:3]
    sizes = arrays, size, turns, layout.width, private > 1, torch.get_num_threads()
    return *sizes, layout.rows, None if layout.natural else layout.columns


def _terms(terms: Terms) -> tuple[Any, ...]:
    rows = 0 if terms.reference is None else terms.reference[..., 0].numel()
    return terms.squared, terms.start, rows, terms.reference, terms.levels


def _call(kernel: str, dtype: torch.dtype | None, *arguments: Any) -> None:
    name = f"pcm_{kernel}" if dtype is None else f"pcm_{kernel}_{_DTYPES[dtype]}"
    plain = (value.data_ptr() if isinstance(value, Tensor) else value for value in arguments)
    _function(compiled.library(), kernel, name)(*plain)


@lru_cache(maxsize=16)
def _function(library: ctypes.CDLL, kernel: str, name: str) -> Callable[..., Any]:
    function = getattr(library, name)
    function.argtypes, function.restype = _ARGUMENTS[kernel], None
    return function  # type: ignore[no-any-return]  # ctypes knows no types
