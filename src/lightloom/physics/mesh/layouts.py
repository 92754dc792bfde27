"""Where the MZIs of a mesh sit: which waveguides each column joins, and how many phases that makes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Layout = Literal["rectangle", "triangle", "butterfly"]
Field = Literal["real", "complex"]

LAYOUTS: tuple[Layout, ...] = get_args(Layout)
FIELDS: tuple[Field, ...] = get_args(Field)
UNIVERSAL_LAYOUTS: tuple[Layout, ...] = ("rectangle", "triangle")


@dataclass(frozen=True)
class Column:
    """One column of MZIs: they act side by side, on disjoint pairs of waveguides.

    The waveguides ``start ... start + 2 count - 1`` fall into groups of ``2 stride``; within a group,
    waveguide i of the upper half is joined to waveguide i of the lower half. So a column is a view of the
    state, never a gather.
    """

    first: int
    """Index of the column's top MZI in phase order."""
    count: int
    """MZIs in the column."""
    start: int
    """Topmost waveguide that the column touches."""
    stride: int
    """Waveguides from the upper to the lower one of each MZI: 1, but for a butterfly."""

    def upper_waveguides(self) -> list[int]:
        """The upper waveguide of each MZI, top to bottom."""
        return [self.start + 2 * self.stride * (i // self.stride) + i % self.stride for i in range(self.count)]


@dataclass(frozen=True, eq=False)
class Wiring:
    """Every MZI of a mesh, by columns and flat in phase order."""

    size: int
    """Waveguides k."""
    columns: tuple[Column, ...]
    """Columns in the order in which light meets them."""
    places: NDArray[np.int32]
    """[3, m], read only: the upper waveguide, the lower waveguide and the column of each MZI."""

    @property
    def mzis(self) -> int:
        """Number of MZIs m."""
        return int(self.places.shape[1])

    @property
    def upper(self) -> Tensor:
        """int32 [m]: the upper waveguide of each MZI, on the CPU; a new tensor every time."""
        return torch.tensor(self.places[0], device="cpu")

    @property
    def lower(self) -> Tensor:
        """int32 [m]: the lower waveguide of each MZI, likewise."""
        return torch.tensor(self.places[1], device="cpu")

    @property
    def column(self) -> Tensor:
        """int32 [m]: the column of each MZI, likewise."""
        return torch.tensor(self.places[2], device="cpu")


@lru_cache(maxsize=256)
def wiring(size: int, layout: Layout) -> Wiring:
    """The columns of a mesh on `size` waveguides. Nothing in it can be changed.

    Args:
        size: Waveguides k.
        layout: Layout of the mesh.

    Raises:
        ValueError: `size` is below 1, not a power of two for a butterfly, or the layout is unknown.
    """
    _check(size, layout)
    columns: list[Column] = []
    for start, count, stride in _shapes(size, layout):
        first = columns[-1].first + columns[-1].count if columns else 0
        columns.append(Column(first, count, start, stride))
    upper = [waveguide for column in columns for waveguide in column.upper_waveguides()]
    lower = [waveguide + column.stride for column in columns for waveguide in column.upper_waveguides()]
    index = [number for number, column in enumerate(columns) for _ in range(column.count)]
    return Wiring(size, tuple(columns), constant([upper, lower, index], np.int32))


def constant(values: Any, dtype: type[Any]) -> NDArray[Any]:
    """An array that nobody can change, so that it may be kept and handed out.

    What is kept is never a tensor: made in inference mode, under a fake mode or in a transform it would spoil later
    calls.

    Args:
        values: What the array holds.
        dtype: Type of its elements.
    """
    array = np.array(values, dtype)
    array.setflags(write=False)
    return array


def mzi_count(size: int, layout: Layout) -> int:
    """MZIs in a mesh: k(k - 1)/2 for the universal layouts, (k/2) log2 k for a butterfly. Raises as `wiring`.

    Args:
        size: Waveguides k.
        layout: Layout of the mesh.
    """
    _check(size, layout)
    return size * (size.bit_length() - 1) // 2 if layout == "butterfly" else size * (size - 1) // 2


def phase_count(size: int, layout: Layout, field: Field) -> int:
    """Phase shifters in a mesh: m for a real one, 2 m + k for a complex one of m MZIs. Raises as `wiring`.

    Args:
        size: Waveguides k.
        layout: Layout of the mesh.
        field: Field of the mesh.

    Raises:
        ValueError: As `wiring`, or the field is unknown.
    """
    if field not in FIELDS:
        raise ValueError(f"The field of a mesh is one of {', '.join(FIELDS)}, not {field!r}.")
    mzis = mzi_count(size, layout)
    return mzis if field == "real" else 2 * mzis + size


def depth(size: int, layout: Layout) -> int:
    """Columns of MZIs that light passes: k, 2k - 3 or log2 k for rectangle, triangle, butterfly; 0 for k = 1.

    Columns without an MZI do not count, so a rectangle of k = 2 is one column deep.

    Args:
        size: Waveguides k.
        layout: Layout of the mesh.
    """
    return len(wiring(size, layout).columns)


def _check(size: int, layout: str) -> None:
    if size < 1:
        raise ValueError(f"A mesh has 1 waveguide or more, not {size}.")
    if layout not in LAYOUTS:
        raise ValueError(f"The layout of a mesh is one of {', '.join(LAYOUTS)}, not {layout!r}.")
    if layout == "butterfly" and size & (size - 1):
        raise ValueError(f"A butterfly needs a power of two waveguides (2, 4, 8, ...), not {size}.")


def _shapes(size: int, layout: Layout) -> list[tuple[int, int, int]]:
    """(topmost waveguide, MZIs, stride) of every column that holds an MZI."""
    if layout == "rectangle":
        shapes = [(column % 2, (size - column % 2) // 2, 1) for column in range(size)]
    elif layout == "triangle":
        # Waveguide r takes part in column l where r <= l and r <= 2(k - 2) - l: the wavefront grows, then
        # shrinks.
        lowest = [min(column, 2 * (size - 2) - column) for column in range(2 * size - 3)]
        shapes = [(column % 2, (row - column % 2) // 2 + 1, 1) for column, row in enumerate(lowest)]
    else:
        shapes = [(0, size // 2, 1 << level) for level in range(size.bit_length() - 1)]
    return [shape for shape in shapes if shape[1] > 0]
