"""How much hardware and work a weight matrix takes: pure arithmetic, without a tensor core."""

from __future__ import annotations

from lightloom.chips import Chip
from lightloom.chips.counts import Counts
from lightloom.common.arguments import checked

__all__ = ["Counts", "counts_of"]


@checked
def counts_of(chip: Chip, rows: int, columns: int, groups: int = 1, vectors: int = 1) -> Counts:
    """What a layer takes on a chip, known before anything is built or programmed.

    Args:
        chip: The hardware.
        rows: Rows of each group's matrix.
        columns: Columns of each group's matrix.
        groups: Number of matrices, as of a grouped convolution.
        vectors: Input vectors that are multiplied.
    """
    return chip.counts(rows, columns, groups, vectors)
