"""Put a matrix onto cells that have aged, so that it changes least.

Three choices, each from what a survey knows of the cells:

    rows    which row of which array of the group works for each row of the matrix: a linear assignment. Array rows that
            held nothing, beyond the edge of the matrix, serve as spares. (A group-wise remapping of rows is the idea of
            ELight's journal version, Zhu et al., IEEE TCAD 2022; what it computes is not public, this is our own.)
    slots   which slot of an array each column sits in, as far as the hardware lets inputs change slots
    levels  which signed level each pair is asked for instead of the one that is wanted

Signed levels are enough for the last. Where the positive cell of a pair is stuck, the levels -L ... 0 move the negative
cell over all it has, so they reach every weight that this pair can still make; likewise the other way round. A cell
that is stuck dark leaves one sign whole, one that is stuck bright the other.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from lightloom.chips import PCMChip
from lightloom.chips.pcm import HEALTHY
from lightloom.lab.crossbar.surveyed import Surveyed
from lightloom.physics import pcm
from lightloom.physics.pcm import schedule
from lightloom.physics.pcm.errors import steps_of
from lightloom.physics.pcm.levels import PAD, signed
from lightloom.physics.pcm.schedule import Schedule

_ROUNDS = 3  # of rows and slots in turn; the error falls in each, by little after the second
_CHUNK = 1 << 22  # numbers held at once


class Remapped(NamedTuple):
    """Where a matrix is to sit, and what to ask of its cells."""

    schedule: Schedule
    """Rows, and columns where slots were moved; turns as they were."""
    levels: Tensor
    """int8 [groups * rows, columns]: what to ask for."""
    before: float
    """Expected ||made - wanted||^2 / ||wanted||^2 of the matrix as it sat; 0 / 0 is 0."""
    after: float
    """The same as it is to sit."""


class Freedom(NamedTuple):
    """What `remap` may change."""

    rows: bool = True
    """Whether rows of the weights may take other rows of the array."""
    slots: bool = False
    """Whether columns may take other slots."""
    levels: bool = True
    """Whether levels are chosen anew for the cells that hold them."""


def remap(
    levels: Tensor,
    chip: PCMChip,
    surveyed: Surveyed,
    plan: Schedule,
    *,
    groups: int = 1,
    freedom: Freedom | None = None,
) -> Remapped:
    """Choose rows, slots and levels with the least expected square error of the weights.

    The turn of a column does not matter to what its cells make, so turns stay: remap first, then reorder. Slots are
    permuted once for all turns and for all rows of an array; but by the row where rows have inputs of their own
    (`row_private`), by the turn where inputs may change slots (scope `any`, not `block_shared`), and for all arrays of
    a group alike where they share their inputs (`broadcast`).

    Args:
        levels: int8 [groups * rows, columns], signed: the matrix that is wanted.
        chip: Its levels, and what its hardware shares.
        surveyed: The cells of all A arrays.
        plan: Rows as they sit now, and columns [A, 1, Q, k] that the rows of an array share.
        groups: Matrices of the layer; rows stay within their group's arrays.
        freedom: What may change; None is rows and levels.

    Raises:
        ValueError: The schedule is not one of this matrix on these arrays or orders each row by itself, or a level is
            beyond L.
    """
    _check(levels, chip, surveyed, plan, groups)
    move_rows, move_slots, choose_levels = Freedom() if freedom is None else freedom
    nominal = signed(pcm.magnitudes(chip.table()))
    outcomes = look_up(chip.table(), surveyed)
    choice, error = choose(outcomes, nominal, free=choose_levels)
    home = plan
    shared = not (move_slots and chip.sharing == "row_private")
    for _ in range(_ROUNDS if move_rows and move_slots and shared else 1):
        if move_rows:
            plan = _place_rows(levels, plan, error, groups)
        if move_slots:
            plan = _place_slots(levels, plan, error, groups, chip)
    commanded = _per_weight(levels, plan, choice)
    if choose_levels:
        commanded = _keep_scale(levels, commanded, plan, outcomes, nominal)
    target = nominal[levels.int() + chip.levels - 1]
    total = float(target.square().sum())
    now, then = (_per_weight(*where, outcomes) for where in ((levels, home), (commanded, plan)))
    before, after = (float((weights - target).square().sum()) for weights in (now, then))
    return Remapped(plan, commanded, before / total if total else before, after / total if total else after)


def look_up(table: Tensor, surveyed: Surveyed) -> Tensor:
    """What each pair makes of each signed level -L ... L, float32 [A, k, k, 2 L + 1], the largest nominal weight 1.

    Args:
        table: [L + 1], nominal transmission of each level.
        surveyed: What is known of the cells.
    """
    table = table.double()
    steps = len(table) - 1
    levels = torch.arange(-steps, steps + 1, dtype=torch.int8)
    parts = []
    for sign in (0, 1):
        stuck = surveyed.stuck[:, sign].unsqueeze(-1)
        positions = torch.where(stuck == HEALTHY, steps_of(levels, sign, steps), stuck)
        parts.append((table[positions.int()] ** surveyed.absorption[:, sign].unsqueeze(-1)).float())
    return parts[0].sub_(parts[1]).div_(float(table[0] - table[-1]))


def choose(outcomes: Tensor, weights: Tensor, *, free: bool = True) -> tuple[Tensor, Tensor]:
    """The level to ask of each pair where a level is wanted, and the square of what that misses.

    Args:
        outcomes: [A, k, k, 2 L + 1] as `look_up` gives it.
        weights: [2 L + 1] weights of perfect pairs.
        free: Whether another level than the wanted one may be asked for. Of those that make the same, it is the one
            nearest to 0, which takes the fewest writes.

    Returns:
        int8 and float32, both [A, k, k, 2 L + 1].
    """
    steps = len(weights) // 2
    levels = torch.arange(-steps, steps + 1, dtype=torch.int8)
    weights = weights.float()
    if not free:
        return levels.expand(outcomes.shape), (outcomes - weights).square()
    choice, error = torch.empty(outcomes.shape, dtype=torch.int8), torch.empty(outcomes.shape)
    by_size = levels[levels.abs().argsort(stable=True)].long()  # argmin takes the first of equals
    chunk = max(1, _CHUNK // len(weights) ** 2)
    flat = (outcomes.flatten(0, -2), choice.view(-1, len(weights)), error.view(-1, len(weights)))
    for pairs, chosen, missed in zip(*(torch.split(part, chunk) for part in flat), strict=True):
        away = (pairs[:, None, by_size + steps] - weights[:, None]).abs_()
        least, which = away.min(-1)
        chosen.copy_(by_size[which])
        missed.copy_(least.square_())
    return choice, error


def _place_rows(levels: Tensor, plan: Schedule, error: Tensor, groups: int) -> Schedule:
    """Each group's rows on those rows of its arrays where they miss least in sum."""
    arrays, size, _, choices = error.shape
    rows, per = len(levels) // groups, arrays // groups
    placed = torch.full((groups, per * size), -1, dtype=torch.int32)
    for group in range(groups):
        own = levels[group * rows : (group + 1) * rows]
        cost = torch.empty(rows, per * size)
        for array in range(per):
            index = group * per + array
            counts = _count(own, plan.columns[index, 0], choices)
            cost[:, array * size : (array + 1) * size] = counts @ error[index].flatten(1).T
        row, place = linear_sum_assignment(cost.numpy())
        placed[group, torch.from_numpy(place)] = (torch.from_numpy(row) + group * rows).int()
    return Schedule(placed.view(arrays, size), plan.columns)


def _count(levels: Tensor, columns: Tensor, choices: int) -> Tensor:
    """How often each row [rows, columns] is to hold each level in each slot, [rows, k * choices]."""
    turns, size = columns.shape
    slot, sits = torch.arange(size).expand(turns, size)[columns >= 0], columns[columns >= 0].long()
    index = slot * choices + levels[:, sits].long() + choices // 2
    return torch.zeros(len(levels), size * choices).scatter_add_(1, index, torch.ones(1).expand_as(index))


def _place_slots(levels: Tensor, plan: Schedule, error: Tensor, groups: int, chip: PCMChip) -> Schedule:
    """Columns in those slots of their array where they miss least in sum, as far as `remap` says they may move."""
    private = chip.sharing == "row_private"
    by_turn = chip.scope == "any" and chip.sharing != "block_shared"
    laid = schedule.sequence(levels, plan)
    arrays, size, turns, _ = laid.shape
    columns = plan.columns.expand(arrays, size if private else 1, turns, size).clone()
    spans = torch.split(torch.arange(turns), 1 if by_turn else turns)
    for alike in torch.split(torch.arange(arrays), arrays // groups if chip.broadcast and not private else 1):
        for span in spans:
            cost = torch.zeros(columns.shape[1], size, size)
            for array, turn in product(alike.tolist(), span.tolist()):
                cost += _slot_cost(laid[array, :, turn], error[array], private)
            order = torch.stack([torch.from_numpy(linear_sum_assignment(part.numpy())[1]) for part in cost])
            for array in alike.tolist():
                moved = columns[array][:, span]
                columns[array][:, span] = moved.gather(2, order.unsqueeze(1).expand_as(moved))
    return Schedule(plan.rows, columns)


def _slot_cost(laid: Tensor, error: Tensor, private: bool) -> Tensor:
    """What columns of an array and a turn would miss in each slot, [k, slot, column] by row, or [1, ...] in sum.

    Args:
        laid: int8 [k, k] levels, row and column as they are laid out now.
        error: [k, k, 2 L + 1] of the array.
        private: Whether each row may choose.
    """
    size, choices = len(error), error.shape[-1]
    empty = laid == PAD
    index = laid.masked_fill(empty, 0).long() + choices // 2
    parts = []
    for rows in torch.split(torch.arange(size), max(1, _CHUNK // size**2)):
        missed = error[rows].gather(2, index[rows].unsqueeze(1).expand(-1, size, -1))
        missed.masked_fill_(empty[rows].unsqueeze(1), 0)
        parts.append(missed if private else missed.sum(0, keepdim=True))
    return torch.cat(parts) if private else torch.cat(parts).sum(0, keepdim=True)


def _per_weight(levels: Tensor, plan: Schedule, values: Tensor) -> Tensor:
    """What the pairs hold [A, k, k, 2 L + 1] at the level of each weight, [groups * rows, columns]."""
    laid = schedule.sequence(levels, plan)
    index = laid.masked_fill(laid == PAD, 0).long() + values.shape[-1] // 2
    # [A, k, slot, turn]: the levels of a pair lie in the last dimension
    picked = values.gather(3, index.transpose(2, 3)).transpose(2, 3)
    return schedule.matrix(picked, plan, *levels.shape)


def _keep_scale(levels: Tensor, commanded: Tensor, plan: Schedule, outcomes: Tensor, weights: Tensor) -> Tensor:
    """`commanded` with the highest level somewhere, if `levels` have it, since a core takes its scale from it."""
    steps = len(weights) // 2
    if int(levels.abs().max()) < steps or int(commanded.abs().max()) == steps:
        return commanded
    ends = [_per_weight(torch.full_like(levels, level), plan, outcomes) for level in (steps, -steps)]
    nominal = weights[levels.int() + steps]
    missed = torch.stack([(end - nominal).square() for end in ends])
    missed -= (_per_weight(commanded, plan, outcomes) - nominal).square()
    sign, place = divmod(int(missed.argmin()), levels.numel())
    commanded = commanded.clone()
    commanded.view(-1)[place] = -steps if sign else steps
    return commanded


def _check(levels: Tensor, chip: PCMChip, surveyed: Surveyed, plan: Schedule, groups: int) -> None:
    if levels.dtype != torch.int8 or not bool((levels.int().abs() < chip.levels).all()):
        raise ValueError(
            f"levels are int8 within -{chip.levels - 1} ... {chip.levels - 1}; got {levels.dtype} or beyond"
        )
    if plan.columns.shape[1] != 1:
        raise ValueError("a schedule that orders each row by itself cannot be remapped; remap first, then reorder")
    schedule.check(plan, groups, len(levels) // groups, levels.shape[1])
    if surveyed.stuck.shape != (len(plan.rows), 2, chip.block_size, chip.block_size):
        raise ValueError(
            f"the survey is of cells {list(surveyed.stuck.shape)}; the matrix sits on {len(plan.rows)} arrays of "
            f"{chip.block_size} x {chip.block_size}"
        )
