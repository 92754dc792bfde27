"""The compiled way through sequences of levels, for int8 CPU tensors: plain calls into `lightloom.physics.compiled`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.compiled.operators import address, ready, serves

Ordered = Literal["sequence", "cut", "sort_ascending", "sort_cheapest"]

_STARTS = ("erased", "repeat", "alternate")
_NUMBER, _POINTER = ctypes.c_int64, ctypes.c_void_p
_ARGUMENTS = {
    "pcm_count": (*[_NUMBER] * 5, *[_POINTER] * 3),
    **{
        f"pcm_{name}": (*[_NUMBER] * 6, *[_POINTER] * 4)
        for name in ("sequence", "cut", "sort_ascending", "sort_cheapest")
    },
}


def usable(levels: Tensor) -> bool:
    """Whether the kernels are built and serve tensors such as `levels`."""
    return levels.dtype == torch.int8 and serves(levels)


def ordered(kernel: Ordered, levels: Tensor, rows: Tensor, columns: Tensor) -> Tensor | None:
    """What a kernel makes of levels in the order of a schedule.

    Args:
        kernel: "sequence" gives the levels themselves, int8, the others new columns, int32.
        levels: int8 [rows, columns].
        rows: [A, k], each at least -1 and below the number of rows: the kernel trusts that.
        columns: [A, 1 or k, Q, k].

    Returns:
        [A, k, Q, k], or None where a column lies outside of the matrix.
    """
    (arrays, size), turns = rows.shape, columns.shape[2]
    shared = int(columns.shape[1] == 1)
    inputs = ready(levels), ready(rows.int()), ready(columns.int())  # must live until the call is over
    cells = levels.new_empty(arrays, size, turns, size, dtype=torch.int8 if kernel == "sequence" else torch.int32)
    types = torch.int8, torch.int32, torch.int32, cells.dtype
    sound = _function(compiled.library(), f"pcm_{kernel}")(
        arrays, size, turns, levels.shape[1], shared, torch.get_num_threads(), *map(address, (*inputs, cells), types)
    )
    return cells if sound else None


def count(sequence: Tensor, start: str) -> tuple[Tensor, Tensor] | None:
    """Compute `writes.count`, in the order of its fields.

    Args:
        sequence: int8 [A, k, Q, k], signed levels in the order of writing.
        start: What the first turn finds.

    Returns:
        int32 [5, A, 2, k, k] of the cells and int32 [2, Q or 2 Q] of the turns, or None where a level is out of range.
    """
    arrays, size, turns, _ = sequence.shape
    cells = ready(sequence)
    tallies = cells.new_empty(5, arrays, 2, size, size, dtype=torch.int32)
    highest = cells.new_zeros(2, turns * (2 if start == "alternate" else 1), dtype=torch.int32)
    addresses = address(cells, torch.int8), address(tallies, torch.int32), address(highest, torch.int32)
    sound = _function(compiled.library(), "pcm_count")(
        arrays, size, turns, _STARTS.index(start), torch.get_num_threads(), *addresses
    )
    return (tallies, highest) if sound else None


@lru_cache(maxsize=8)
def _function(library: ctypes.CDLL | None, name: str) -> Callable[..., int]:
    function = getattr(library, name)
    function.argtypes, function.restype = _ARGUMENTS[name], ctypes.c_int
    return function  # type: ignore[no-any-return]  # ctypes knows no types
