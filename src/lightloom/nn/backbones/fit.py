"""Maps of features and the grids of chips: whether one fits on the other, and a chip that fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lightloom.common.errors import RequestError

if TYPE_CHECKING:
    from lightloom.chips import DiffractiveChip


def fit_chip(chip: DiffractiveChip, rows: int, columns: int) -> DiffractiveChip:
    """The same chip with the grid and the masks that a map of this size needs.

    The masks are as wide as the map, and the grid is twice that or a little more, so that light that leaves one side
    does not come in at the other; its size is even, and one that the Fourier transform is fast at.
    """
    from scipy.fft import next_fast_len

    side = max(rows, columns)
    return chip.replace(grid=2 * int(next_fast_len(side, real=True)), mask=side + side % 2)


def refuse_larger(what: str, rows: int, columns: int, chip: DiffractiveChip) -> None:
    """Raises `RequestError` where a map does not fit on the grid of a chip."""
    if max(rows, columns) > chip.grid:
        raise RequestError(
            f"{what} has maps of {rows} x {columns} and its chip a grid of {chip.grid} x {chip.grid}; give a chip with "
            f"a grid of {2 * max(rows, columns)}, smaller images, or fit the chip to the map."
        )
