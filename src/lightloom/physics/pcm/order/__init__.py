"""In which order the turns of a PCM crossbar are written, so that neighbours in time differ little.

What can be ordered depends on what the hardware shares. Where every row of an array has inputs of its own, each cell
is sorted by itself (`sort.sort_cells`). Where all rows share the inputs of their column, the columns
(`columns.order_columns`) or whole blocks (`columns.order_blocks`) are put on a short path, and rows that are alike are
put into one array (`rows.group_rows`). Each takes signed levels and a schedule, and returns a schedule of the same
matrix.
"""

from __future__ import annotations

from typing import Literal

Sharing = Literal["row_private", "column_shared", "block_shared"]
"""Cells that share an order: one cell, a column of an array, or a whole array."""

Scope = Literal["slot", "any"]
"""Whether an input keeps its slot and only changes its turn (as published), or may change both."""
