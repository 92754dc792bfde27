"""Maps of features and the grids of chips: whether one fits on the other, and a chip that fits."""

from __future__ import annotations

import math

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError


def fit_chip(chip: DiffractiveChip, rows: int, columns: int) -> DiffractiveChip:
    """The same chip with the grid and the masks that a map of this size needs.

    The masks are as wide as the map. The grid is at least twice that, so that light that leaves one side does not come
    in at the other, and wide enough to sample free space finely over the chip's distances (`critical_distance`), where
    the angular spectrum asks for it; its size is even, and one that the Fourier transform is fast at.

    Args:
        chip: All but grid and masks.
        rows: Of the map.
        columns: Of the map.
    """
    from scipy.fft import next_fast_len

    side = max(rows, columns)
    half = max(side, math.ceil(_sampled(chip) / 2))
    return chip.replace(grid=2 * int(next_fast_len(half, real=True)), mask=side + side % 2)


def _sampled(chip: DiffractiveChip) -> float:
    """Samples along a side from which on the grid follows the phase of free space over the chip's longest way."""
    per_sample = chip.critical_distance / chip.grid
    if chip.method != "angular_spectrum" or per_sample == 0:
        return 0.0
    return max(chip.distance_in, chip.distance) / per_sample


def refuse_larger(what: str, rows: int, columns: int, chip: DiffractiveChip) -> None:
    """Refuse a map that does not fit on the grid of a chip.

    Args:
        what: What has the map, for the message.
        rows: Of the map.
        columns: Of the map.
        chip: Diffractive hardware.

    Raises:
        RequestError: It does not.
    """
    if max(rows, columns) > chip.grid:
        raise RequestError(
            f"{what} has maps of {rows} x {columns} and its chip a grid of {chip.grid} x {chip.grid}; give a chip with "
            f"a grid of {2 * max(rows, columns)}, smaller images, or fit the chip to the map."
        )
