"""Orders for arrays whose rows have inputs of their own: each cell is swept once through the levels it is to hold.

Whatever the order, a cell has to reach the lowest and the highest of its levels, and on a line a monotone sweep does
so with the fewest steps. From an erased start the sweep is cheapest from the end that lies nearer to zero,
(max - min) + min(|min|, |max|) levels with zero counted among them; in a closed cycle every sweep costs
2 (max - min), and there and back max - min per inference. Source of the ascending sort: Zhu et al., "ELight",
ASP-DAC 2022.
"""

from __future__ import annotations

from typing import Literal, cast, get_args

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import define, one_by_one
from lightloom.physics.execution import has_numbers
from lightloom.physics.pcm import write_kernels as kernels
from lightloom.physics.pcm.levels import MOST_LEVELS, PAD
from lightloom.physics.pcm.order import Scope
from lightloom.physics.pcm.schedule import Schedule, sequence
from lightloom.physics.pcm.writes import Start

Direction = Literal["ascending", "cheapest"]
"""Upwards for all cells, as published, or for each cell the way that costs less."""

_LAST = 127  # a sort key beyond every level


def sort_cells(
    levels: Tensor,
    schedule: Schedule,
    *,
    direction: Direction = "ascending",
    scope: Scope = "slot",
    start: Start = "erased",
) -> Schedule:
    """An order for each cell of its own, with the fewest writes.

    With scope "slot" a weight keeps its slot. "cheapest" is then optimal for every start, and "ascending" for all but
    "erased". With scope "any" a row's weights are sorted as a whole and cut into one run for each slot: optimal as
    well, if the columns fill all turns. If they do not, the places that hold nothing are taken for zeros and come last
    in their slot, which is optimal from an erased start only.

    Args:
        levels: int8 [groups * rows, columns], signed.
        schedule: A schedule of this matrix; its rows are kept.
        direction: Of each sweep. All directions cost the same unless the start is "erased".
        scope: Whether a weight may change its slot.
        start: What the first turn finds.

    Returns:
        A schedule with columns [A, k, Q, k]; array rows that work for nothing have -1 throughout.

    Raises:
        TypeError: The levels are not int8.
        ValueError: A level is out of range, the schedule does not fit the matrix, or an option is unknown.
    """
    for name, option, choices in (
        ("direction", direction, Direction),
        ("scope", scope, Scope),
        ("start", start, Start),
    ):
        if option not in get_args(choices):
            raise ValueError(f"The {name} is one of {', '.join(get_args(choices))}, not {option!r}.")
    _check(levels)
    if scope == "any":
        schedule = _cut(levels, schedule)
    return _sort(levels, schedule, cheapest=direction == "cheapest" and start == "erased")


def _cut(levels: Tensor, schedule: Schedule) -> Schedule:
    """Each row sorted, empty places after the zeros, slot j taking the run from j Q to (j + 1) Q."""
    return Schedule(schedule.rows, _ordered(levels, *schedule, "cut"))


def _sort(levels: Tensor, schedule: Schedule, *, cheapest: bool) -> Schedule:
    """Each slot's levels sorted over its turns, empty places last."""
    return Schedule(schedule.rows, _ordered(levels, *schedule, "sort_cheapest" if cheapest else "sort_ascending"))


def _run(levels: Tensor, rows: Tensor, columns: Tensor, kernel: str) -> Tensor:
    """The kernel's columns, or torch's where there is none or where torch has to tell what is wrong."""
    schedule, kind = Schedule(rows, columns), cast(kernels.Ordered, kernel)
    if kernels.usable(levels):
        first, last = (int(bound) for bound in rows.aminmax())
        ordered = kernels.ordered(kind, levels, *schedule) if first >= -1 and last < len(levels) else None
        if ordered is not None:
            return ordered
    cells, columns = _laid_out(levels, schedule)
    if kind == "cut":
        order = torch.where(cells == PAD, 1, 2 * cells).flatten(2).argsort(dim=2, stable=True)
        arrays, size, turns, _ = cells.shape
        return columns.flatten(2).gather(2, order).view(arrays, size, size, turns).transpose(2, 3).contiguous()
    keys = cells
    if kind == "sort_cheapest":
        least = torch.where(cells == PAD, _LAST, cells).amin(2, keepdim=True)
        keys = torch.where(least.abs() > cells.amax(2, keepdim=True).abs(), -cells, cells)
    return columns.gather(2, torch.where(cells == PAD, _LAST, keys).argsort(dim=2, stable=True))


def _fake(levels: Tensor, rows: Tensor, columns: Tensor, kernel: str) -> Tensor:
    (arrays, size), turns = rows.shape, columns.shape[2]
    return levels.new_empty(arrays, size, turns, size, dtype=torch.int32)


_ordered = define(
    "pcm_order(Tensor levels, Tensor rows, Tensor columns, str kernel) -> Tensor", _run, _fake, one_by_one
)


def _laid_out(levels: Tensor, schedule: Schedule) -> tuple[Tensor, Tensor]:
    """Levels and columns of every place, both [A, k, Q, k], with PAD and -1 where nothing sits."""
    cells = sequence(levels, schedule)
    return cells, torch.where(cells == PAD, -1, schedule.columns)


def _check(levels: Tensor) -> None:
    if levels.dtype != torch.int8:
        raise TypeError(f"Levels are sorted as int8, not {levels.dtype}: make them with `levels.to_levels`.")
    if not has_numbers(levels):
        return
    least, largest = (int(bound) for bound in levels.aminmax())
    if least <= -MOST_LEVELS or largest >= MOST_LEVELS:
        raise ValueError(
            f"Levels lie between {1 - MOST_LEVELS} and {MOST_LEVELS - 1}; these reach from {least} to {largest}."
        )
