"""One order for a whole array: columns or blocks that all its rows take together, put on a short path.

Where the k rows of an array share the inputs of its slots, a slot takes its columns in one order, and what a turn
costs is the L1 distance of two columns of k levels. Distances of long vectors are all alike, so little is to be had:
levels drawn independently gain some ten percent, not the tenfold of rows with inputs of their own. Rows that are
alike (`rows.group_rows`) and training make the difference.
"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from lightloom.physics.pcm.levels import PAD
from lightloom.physics.pcm.order import Scope
from lightloom.physics.pcm.order.paths import distances, length, norms, path
from lightloom.physics.pcm.schedule import Schedule, sequence
from lightloom.physics.pcm.writes import Start

_HELD = 1 << 26  # distances held at once


def order_columns(
    levels: Tensor,
    schedule: Schedule,
    *,
    scope: Scope = "slot",
    start: Start = "erased",
    broadcast_groups: int = 0,
    kicks: int = 0,
    seed: int = 0,
) -> Schedule:
    """One order of columns for each array and slot.

    With scope "any" a slot also chooses its columns: a short cycle through all columns of the matrix is cut into one
    run for each slot, where the cuts save most, and each run is ordered again by itself. Whatever the options, no array
    is given an order that costs more than the one it had.

    Args:
        levels: int8 [groups * rows, columns], signed.
        schedule: A schedule of this matrix whose rows share their columns; its rows are kept.
        scope: Whether a column may change its slot.
        start: What the first turn finds.
        broadcast_groups: Groups of a layer where all arrays of a group are fed the same inputs, and so have one order;
            0 is a layer whose arrays have inputs of their own.
        kicks: As in `paths.path`.
        seed: Of the kicks.

    Returns:
        A schedule with columns [A, 1, Q, k]; places that hold nothing are the last turns of their slots.

    Raises:
        TypeError: The levels are not int8.
        ValueError: The rows of an array, or with `broadcast_groups` the arrays of a group, do not share their columns,
            or an option is unknown.
    """
    _check(schedule, start)
    if scope not in get_args(Scope):
        raise ValueError(f"The scope is one of {', '.join(get_args(Scope))}, not {scope!r}.")
    rows, columns = schedule.rows, schedule.columns[:, 0]
    arrays = len(rows)
    if broadcast_groups:
        rows, columns = _joined(rows, columns, broadcast_groups)
    some = max(1, _HELD // (columns.shape[1] * columns.shape[2]) ** 2)
    orders = [
        _order_array(levels, row, column, scope, start, kicks, seed)
        for row, column in zip(torch.split(rows, some), torch.split(columns, some), strict=True)
    ]
    ordered = torch.cat(orders).repeat_interleave(arrays // len(rows), 0)
    return Schedule(schedule.rows, ordered[:, None])


def order_blocks(
    levels: Tensor, schedule: Schedule, *, start: Start = "erased", kicks: int = 0, seed: int = 0
) -> Schedule:
    """One order of whole blocks for each array.

    A block with empty slots, the last of a matrix whose columns are no multiple of k, leaves what stands there. It is
    put where it costs least, among the others in their order.

    Args:
        levels: int8 [groups * rows, columns], signed.
        schedule: A schedule of this matrix whose rows share their columns; its rows are kept.
        start: What the first turn finds.
        kicks: As in `paths.path`.
        seed: Of the kicks.

    Returns:
        A schedule with columns [A, 1, Q, k], each array's turns in another order.

    Raises:
        TypeError: The levels are not int8.
        ValueError: The rows of an array do not share their columns, or an option is unknown; or more turns than the
            last have empty slots.
    """
    _check(schedule, start)
    columns = schedule.columns[:, 0]
    arrays, turns, _ = columns.shape
    whole = (columns >= 0).all(2)
    if not whole[:, :-1].all():
        raise ValueError("Blocks are ordered where no turn but the last has empty slots; begin with `natural`.")
    blocks = sequence(levels, schedule).transpose(1, 2).flatten(2)  # [A, Q, k k]
    order = torch.arange(turns, dtype=torch.int32, device=columns.device).repeat(arrays, 1)
    for ragged in (False, True):
        some = whole[:, -1] != ragged
        if some.any():
            order[some] = (_order_ragged if ragged else _order)(blocks[some], start, kicks, seed)
    return Schedule(schedule.rows, columns.gather(1, order.long()[:, :, None].expand_as(columns))[:, None])


def _order_array(
    levels: Tensor, rows: Tensor, columns: Tensor, scope: Scope, start: Start, kicks: int, seed: int
) -> Tensor:
    """Columns [U, Q, k] in a better order, for the rows [U, d] that share them."""
    cells = torch.where(rows[:, :, None] >= 0, levels[rows.clamp(min=0).long()], PAD)
    points = cells.transpose(1, 2)  # [U, columns, d]
    present, lengths = _order_slots(points, columns, start, kicks, seed)
    if scope == "slot" or columns.shape[1] * columns.shape[2] == 1:
        return present
    moved, others = _order_slots(points, _cut(points, columns, kicks, seed), start, kicks, seed)
    return torch.where((others < lengths)[:, None, None], moved, present)


def _order_slots(points: Tensor, columns: Tensor, start: Start, kicks: int, seed: int) -> tuple[Tensor, Tensor]:
    """Each slot's columns in order, empty places last, and what each array then costs, int64 [U]."""
    real = columns >= 0
    packed = columns.gather(1, (~real).int().argsort(dim=1, stable=True))
    counts = real.sum(1)
    lengths = torch.zeros_like(counts)
    for count in sorted({*counts.flatten().tolist()} - {0}):
        unit, slot = (counts == count).nonzero(as_tuple=True)
        for some in torch.split(torch.arange(len(unit)), max(1, _HELD // count**2)):
            u, j = unit[some], slot[some]
            nodes = packed[u, :count, j]
            vectors = points[u[:, None], nodes.long()]
            order, lengths[u, j] = _ordered(vectors, start, kicks, seed)
            packed[u, :count, j] = nodes.gather(1, order.long())
    return packed, lengths.sum(1)


def _cut(points: Tensor, columns: Tensor, kicks: int, seed: int) -> Tensor:
    """All columns on one cycle, cut into as many for each slot as it had, where that leaves out most."""
    units, turns, _ = columns.shape
    slots = columns.transpose(1, 2)  # [U, k, Q]
    real = slots >= 0
    counts = real.sum(2)
    nodes = slots[real].view(units, -1)
    n = nodes.shape[1]
    apart = distances(points.gather(1, nodes.long()[:, :, None].expand(-1, -1, points.shape[2])))
    tour = path(apart, closed=True, kicks=kicks, seed=seed).long()
    following = tour.roll(-1, 1)
    edges = apart.flatten(1).gather(1, tour * n + following)
    every = torch.arange(n, device=tour.device)
    saved = torch.zeros_like(edges, dtype=torch.int64)
    for used, stop in zip((counts > 0).unbind(1), counts.cumsum(1).unbind(1), strict=True):
        saved += edges.gather(1, (every + stop[:, None] - 1) % n) * used[:, None]
    begun = (every + saved.argmax(1)[:, None]) % n
    runs = torch.full_like(slots, -1)
    filled = torch.arange(turns, device=columns.device) < counts[:, :, None]
    runs[filled] = nodes.gather(1, tour.gather(1, begun)).flatten()
    return runs.transpose(1, 2)


def _ordered(vectors: Tensor, start: Start, kicks: int, seed: int) -> tuple[Tensor, Tensor]:
    """A short path through `vectors` [problems, n, d], and its length."""
    apart, first = _costs(vectors, start)
    order = path(apart, first, closed=start == "repeat", kicks=kicks, seed=seed)
    return order, length(order, apart, first, closed=start == "repeat")


def _length(order: Tensor, vectors: Tensor, start: Start) -> Tensor:
    apart, first = _costs(vectors, start)
    return length(order, apart, first, closed=start == "repeat")


def _costs(vectors: Tensor, start: Start) -> tuple[Tensor, Tensor | None]:
    """Levels written between any two vectors, and from the start to each."""
    return distances(vectors), norms(vectors) if start == "erased" else None


def _order(vectors: Tensor, start: Start, kicks: int, seed: int) -> Tensor:
    return _ordered(vectors, start, kicks, seed)[0]


def _order_ragged(blocks: Tensor, start: Start, kicks: int, seed: int) -> Tensor:
    """Order as `_order` where the last block has empty places, in which the one before it stays."""
    arrays, turns, _ = blocks.shape
    if turns == 1:
        return torch.zeros(arrays, 1, dtype=torch.int32, device=blocks.device)
    full = blocks[:, :-1]
    natural = torch.arange(turns, dtype=torch.int32, device=blocks.device).expand(arrays, turns)
    order, total = _ordered(full, start, kicks, seed)
    extra = _insertion(blocks, order, start)
    place = extra.argmin(1, keepdim=True)
    later = natural > place  # these move on by a turn
    ordered = order.gather(1, (natural.long() - later.long()).clamp(max=turns - 2))
    ordered = torch.where(natural == place, turns - 1, ordered)
    before = _length(natural[:, :-1], full, start) + _insertion(blocks, natural[:, :-1], start)[:, -1]
    return torch.where((total + extra.amin(1) < before)[:, None], ordered, natural)


def _insertion(blocks: Tensor, order: Tensor, start: Start) -> Tensor:
    """Levels that the last block adds to a path through the others, by the place it takes: [A, Q]."""
    covered = torch.where(blocks[:, -1:] == PAD, PAD, blocks)  # elsewhere it changes nothing
    tour = covered.gather(1, order.long()[:, :, None].expand(-1, -1, blocks.shape[2]))
    apart = distances(torch.cat([tour, covered[:, -1:]], 1))
    to = apart[:, -1, :-1]
    inner = to[:, :-1] + to[:, 1:] - apart.diagonal(1, 1, 2)[:, :-1]
    head, tail = to[:, :1], to[:, -1:]
    if start == "erased":
        away = norms(covered)[:, -1:] - norms(tour)[:, :1]
        head = head + away
    if start == "repeat":
        head = tail = head + tail - apart[:, :1, -2]
    return torch.cat([head, inner, tail], 1)


def _joined(rows: Tensor, columns: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Rows [groups, P k] and columns [groups, Q, k] of arrays that share them."""
    if len(rows) % groups:
        raise ValueError(f"{len(rows)} arrays cannot be shared out among {groups} groups.")
    shared = columns.view(groups, -1, *columns.shape[1:])
    if (shared != shared[:, :1]).any():
        raise ValueError("The arrays of a group have orders of their own; `broadcast_groups` begins with `natural`.")
    return rows.reshape(groups, -1), shared[:, 0]


def _check(schedule: Schedule, start: Start) -> None:
    if start not in get_args(Start):
        raise ValueError(f"The start is one of {', '.join(get_args(Start))}, not {start!r}.")
    if schedule.columns.shape[1] != 1:
        raise ValueError(
            "Every row of these arrays has an order of its own, [A, k, Q, k]; rows that share their columns have "
            "[A, 1, Q, k]: begin with `natural`."
        )
