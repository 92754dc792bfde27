"""Where the phase shifters of a mesh sit on the chip, and which of them warm each other."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightloom.physics.mesh.layouts import Field, Layout, constant, phase_count, wiring

_NEAR: dict[Layout, tuple[tuple[int, int], ...]] = {
    # The checkerboard of a rectangle: MZIs of one column lie two waveguides apart (the 5 x 3 kernel of Gu et
    # al., "L2ight", NeurIPS 2021).
    "rectangle": ((-2, 0), (2, 0), (-1, -1), (-1, 1), (1, -1), (1, 1)),
    # The same neighbours on a triangle, less those of the same column: the plus-shaped kernel of the compact
    # triangle.
    "triangle": ((-1, -1), (-1, 1), (1, -1), (1, 1)),
    "butterfly": ((-1, 0), (1, 0), (0, -1), (0, 1)),
}


def heater_positions(size: int, layout: Layout, field: Field) -> Tensor:
    """The place of every phase shifter on the chip's grid.

    A real MZI has one heater, at (its upper waveguide, its column). A complex mesh has its columns doubled:
    the phi heater of a column-l MZI sits at column 2l, its theta heater at 2l + 1, and the output heaters in
    one last column, each on its own waveguide. In a butterfly the row is the index of the MZI within its
    column.

    Args:
        size: Waveguides k.
        layout: Layout of the mesh.
        field: Field of the mesh.

    Returns:
        int64 [phase_count, 2], (row, column) in phase order, on the CPU.

    Raises:
        ValueError: There is no such mesh.
    """
    return torch.tensor(_positions(size, layout, field), device="cpu")


def neighbours(size: int, layout: Layout, field: Field) -> Tensor:
    """The heaters that warm each heater.

    On a rectangle those at (row +- 2, same column) and (row +- 1, column +- 1); on a triangle only the
    latter; on a butterfly the four next to it. A complex mesh adds (row, column +- 1), since phi and theta of
    an MZI lie side by side.

    Args:
        size: Waveguides k.
        layout: Layout of the mesh.
        field: Field of the mesh.

    Returns:
        int64 [phase_count, n], indices in phase order, filled with ``phase_count`` where a place is empty:
        gather from the phases with a zero appended. On the CPU.

    Raises:
        ValueError: There is no such mesh.
    """
    return torch.tensor(_near(size, layout, field), device="cpu")


@lru_cache(maxsize=32)
def warming_matrix(size: int, layout: Layout, field: Field) -> Tensor:
    """`neighbours` as a matrix: 1 where the heater of the column warms the phase of the row, 0 elsewhere.

    Args:
        size: Waveguides k.
        layout: Layout of the mesh.
        field: Field of the mesh.

    Returns:
        float64 [phase_count, phase_count] on the CPU, always the same tensor: do not change it.

    Raises:
        ValueError: There is no such mesh.
    """
    near = neighbours(size, layout, field)
    table = torch.zeros(len(near), len(near) + 1, dtype=torch.float64, device="cpu")  # a last column for empty places
    return table.scatter_(1, near, 1.0)[:, :-1]


@lru_cache(maxsize=256)
def _positions(size: int, layout: Layout, field: Field) -> NDArray[np.int64]:
    phase_count(size, layout, field)  # refuses what does not exist
    mesh = wiring(size, layout)
    rows, _, columns = mesh.places.astype(np.int64)
    if layout == "butterfly":
        rows = np.arange(mesh.mzis) % max(size // 2, 1)
    if field == "real":
        return constant(np.stack([rows, columns], 1), np.int64)
    output = np.full(size, 2 * len(mesh.columns))
    across = np.concatenate([rows, rows, np.arange(size)])
    return constant(np.stack([across, np.concatenate([2 * columns + 1, 2 * columns, output])], 1), np.int64)


@lru_cache(maxsize=256)
def _near(size: int, layout: Layout, field: Field) -> NDArray[np.int64]:
    places = [(row, column) for row, column in _positions(size, layout, field).tolist()]
    offsets = _NEAR[layout]
    if field == "complex":
        offsets = tuple(dict.fromkeys([*offsets, (0, -1), (0, 1)]))
    index = {place: number for number, place in enumerate(places)}
    near = [[index.get((row + down, column + right), len(places)) for down, right in offsets] for row, column in places]
    return constant(near, np.int64).reshape(len(places), len(offsets))
