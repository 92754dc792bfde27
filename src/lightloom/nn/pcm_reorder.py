"""The order in which a PCM core is to be written, as far as what its hardware shares leaves a choice."""

from __future__ import annotations

from lightloom.common.arguments import checked
from lightloom.nn.cores.pcm import PCMCore
from lightloom.physics.pcm.order.columns import order_blocks, order_columns
from lightloom.physics.pcm.order.rows import group_rows
from lightloom.physics.pcm.order.sort import sort_cells
from lightloom.physics.pcm.schedule import Schedule, sequence
from lightloom.physics.pcm.writes import count, total


@checked
def reorder(core: PCMCore, home: Schedule | None = None, *, move_rows: bool = True) -> Schedule:
    """A schedule of a core's present levels with few writes; what the core computes stays the same.

    Rows that have inputs of their own are sorted cell by cell, which is optimal. Shared inputs leave a path to be found
    through columns or blocks; rows that are alike are brought into the same array first, where that pays. On a specimen
    whose cells differ every weight stays in the cell that `home` gives it, and only its turn changes.

    Args:
        core: Levels and chip are read; nothing is changed. Follow the schedule with `core.place`.
        home: Schedule to start from; None is the present one.
        move_rows: Whether rows may change their array.
    """
    chip, levels = core.chip, core.levels().cpu()
    plan = core.schedule_on_cpu() if home is None else home
    scope = chip.scope if core.alike else "slot"
    if chip.sharing == "row_private":
        return sort_cells(levels, plan, direction="cheapest", scope=scope, start=chip.start)
    plans, broadcast = [plan], core.groups if chip.broadcast else 0
    if move_rows and core.alike:
        plans.append(group_rows(levels, plan, groups=core.groups))
    schedules = [
        order_blocks(levels, candidate, start=chip.start)
        if chip.sharing == "block_shared"
        else order_columns(levels, candidate, scope=scope, start=chip.start, broadcast_groups=broadcast)
        for candidate in plans
    ]
    return min(schedules, key=lambda schedule: total(count(sequence(levels, schedule), chip.start)))
