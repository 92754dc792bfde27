"""Which weight sits where, and when: a matrix on PCM arrays that are written anew turn after turn.

A matrix [groups * rows, columns] is cut into k x k blocks. Each group has ceil(rows / k) arrays that work side by
side, A in all; an array is k rows x k slots of cells, and holds one block at each of Q = ceil(columns / k) turns. A
schedule names the row of the matrix that each array row works for, and the column that sits in each slot at each
turn. The product is the same whatever the order; the writes are not.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.physics.blocks import grid
from lightloom.physics.compiled.operators import define, one_by_one
from lightloom.physics.execution import has_numbers
from lightloom.physics.pcm import write_kernels as kernels
from lightloom.physics.pcm.levels import PAD
from lightloom.physics.pcm.order import Scope, Sharing


class Schedule(NamedTuple):
    """The order in which a matrix passes through its arrays."""

    rows: Tensor
    """int32 [A, k]: row of the matrix [groups * rows, columns] that an array row works for; -1 for none."""

    columns: Tensor
    """int32 [A, 1 or k, Q, k]: column that sits in each slot at each turn, -1 for none; 1 where the rows share it."""


def natural(groups: int, rows: int, columns: int, size: int, *, device: torch.device | None = None) -> Schedule:
    """Blocks as they lie in the matrix, turns from left to right.

    Args:
        groups: Matrices of the layer.
        rows: Rows of one group's matrix.
        columns: Columns of one group's matrix.
        size: k, rows and slots of an array.
        device: Where the schedule is kept.

    Raises:
        ValueError: One of the numbers is below 1.
    """
    if min(groups, rows, columns, size) < 1:
        raise ValueError(f"Groups, rows, columns and size are at least 1; got {groups}, {rows}, {columns} and {size}.")
    p, q = grid(rows, columns, size)
    row = torch.arange(p * size, dtype=torch.int32, device=device)
    first = torch.arange(groups, dtype=torch.int32, device=device)[:, None] * rows
    column = torch.arange(q * size, dtype=torch.int32, device=device)
    column = torch.where(column < columns, column, -1).view(1, 1, q, size)
    return Schedule(torch.where(row < rows, row + first, -1).view(-1, size), column.expand(groups * p, 1, q, size))


def sequence(levels: Tensor, schedule: Schedule, *, empty: int = PAD) -> Tensor:
    """What each cell pair is to hold at each turn.

    Args:
        levels: [groups * rows, columns]: signed levels, int8, or any other values.
        schedule: A schedule of this matrix.
        empty: What stands where nothing sits.

    Returns:
        [A, k, Q, k], the dtype of `levels`.

    Raises:
        ValueError: The schedule names a row or column that the matrix does not have.
    """
    if empty == PAD and levels.dtype == torch.int8:
        cells: Tensor = _sequence(levels, *schedule)
        return cells
    return _laid_out(levels, schedule, empty)


def _laid_out(levels: Tensor, schedule: Schedule, empty: int) -> Tensor:
    _check_rows(schedule, len(levels))
    index, real = places(schedule, levels.shape[1])
    return torch.where(real, levels.flatten()[index], empty)


def _run(levels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    schedule = Schedule(rows, columns)
    _check_rows(schedule, len(levels))
    cells = kernels.ordered("sequence", levels, *schedule) if kernels.usable(levels) else None
    return _laid_out(levels, schedule, PAD) if cells is None else cells


def _fake(levels: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    (arrays, size), turns = rows.shape, columns.shape[2]
    return levels.new_empty(arrays, size, turns, size)


_sequence = define("pcm_sequence(Tensor levels, Tensor rows, Tensor columns) -> Tensor", _run, _fake, one_by_one)


def matrix(sequence: Tensor, schedule: Schedule, rows: int, columns: int) -> Tensor:
    """The inverse of `sequence`.

    Args:
        sequence: [A, k, Q, k], any dtype.
        schedule: As it was laid out.
        rows: Of all groups together.
        columns: Of one group.

    Returns:
        [rows, columns].

    Raises:
        ValueError: The schedule names a row or column beyond those.
    """
    _check_rows(schedule, rows)
    index, real = places(schedule, columns)
    # what sits nowhere goes to one place more, which is cut off: no size then hangs on a value
    to = torch.where(real, index, rows * columns).flatten()
    weights = sequence.new_zeros(rows * columns + 1).index_copy(0, to, sequence.flatten())
    return weights[:-1].view(rows, columns)


def multiply(weights: Tensor, schedule: Schedule, x: Tensor, groups: int) -> Tensor:
    """The product of matrix and inputs, one turn after the other, as the arrays make it.

    Integers are added up in 64 bits, where no order changes the sum.

    Args:
        weights: [A, k, Q, k], as `sequence` lays them out; what stands where nothing sits does not matter.
        schedule: As they were laid out.
        x: [batch, groups * columns].
        groups: Of the layer.

    Returns:
        [batch, groups * rows].

    Raises:
        ValueError: The arrays or inputs cannot be shared out among the groups, or are not as many as the schedule's.
    """
    arrays, size, turns, _ = weights.shape
    if arrays % groups or x.shape[1] % groups:
        raise ValueError(
            f"{arrays} arrays and {x.shape[1]} inputs cannot be shared out among {groups} groups: both must be "
            "multiples of the number of groups."
        )
    kind = torch.promote_types(weights.dtype, x.dtype)
    kind = kind if kind.is_floating_point else torch.int64
    columns = x.shape[1] // groups
    if columns != (count := int(schedule.columns.max()) + 1):
        raise ValueError(f"The schedule has {count} columns for each group, and there are inputs for {columns}.")
    _, real = places(schedule, columns)
    x, cells = x.to(kind), torch.where(real, weights, 0).to(kind)
    first = torch.arange(arrays, device=x.device) // (arrays // groups) * columns
    fed = schedule.columns.clamp(min=0).long() + first[:, None, None, None]
    sums = x.new_zeros(len(x), arrays, size)
    for turn in range(turns):
        inputs = x[:, fed[:, :, turn]]  # [batch, A, 1 or k, k]
        sums += (inputs * cells[:, :, turn]).sum(-1)
    works = schedule.rows >= 0
    products = x.new_zeros(len(x), int(schedule.rows.max()) + 1)
    return products.index_add_(1, schedule.rows[works].long(), sums[:, works])


def check(schedule: Schedule, groups: int, rows: int, columns: int) -> None:
    """Refuse a schedule that is not one of this matrix.

    Args:
        schedule: The order to look at.
        groups: Matrices of the layer.
        rows: Rows of one group's matrix.
        columns: Columns of one group's matrix.

    Raises:
        ValueError: A weight sits nowhere or more than once, an array works for another group's rows, or an index is
            out of range.
    """
    _check_rows(schedule, groups * rows)
    arrays = len(schedule.rows)
    if arrays % groups:
        raise ValueError(f"{arrays} arrays cannot be shared out among {groups} groups.")
    home = torch.arange(arrays, device=schedule.rows.device) // (arrays // groups)
    strayed = (schedule.rows >= 0) & (schedule.rows // rows != home[:, None])
    if strayed.any():
        array, place = strayed.nonzero()[0].tolist()
        raise ValueError(
            f"Array {array} belongs to group {int(home[array])} and works for row {int(schedule.rows[array, place])}, "
            f"which is one of group {int(schedule.rows[array, place]) // rows}: rows stay within their group."
        )
    index, real = places(schedule, columns)
    times = torch.bincount(index[real], minlength=groups * rows * columns)
    wrong = (times != 1).nonzero().flatten()
    if len(wrong):
        row, column = divmod(int(wrong[0]), columns)
        raise ValueError(
            f"The weight at row {row}, column {column} sits {int(times[wrong[0]])} times in the schedule, not once; "
            f"{int((times == 0).sum())} weights are missing, {int((times > 1).sum())} are there more than once."
        )


def index_bits(schedule: Schedule, sharing: Sharing, scope: Scope = "slot", *, groups: int = 1) -> int:
    """Storage that the order takes: which input each cell, column or array needs at each turn, and which output.

    An index is as long as its choice is wide. `row_private`: ceil(log2 Q) per weight (scope "slot") or
    ceil(log2 columns) ("any"); `column_shared`: the same per column and array; `block_shared`: ceil(log2 Q) per turn
    and array. Rows that were moved: ceil(log2 rows) each. An order that is the natural one takes nothing.

    Args:
        schedule: A schedule that `check` lets pass.
        sharing: What has an order of its own.
        scope: What an index chooses from.
        groups: Of the layer.

    Raises:
        ValueError: Rows have inputs of their own, yet `sharing` says that they share them.
    """
    if sharing != "row_private" and schedule.columns.shape[1] != 1:
        raise ValueError(
            f"Every row of these arrays has inputs of its own, which takes `row_private` hardware, not `{sharing}`."
        )
    size, turns = schedule.columns.shape[3], schedule.columns.shape[2]
    rows, columns = (int(schedule.rows.max()) + 1) // groups, int(schedule.columns.max()) + 1
    plain = natural(groups, rows, columns, size, device=schedule.rows.device)
    works = (schedule.rows >= 0)[:, :, None, None]
    bits = 0
    if not torch.equal(schedule.rows, plain.rows):
        bits += groups * rows * _bits(rows)
    if ((schedule.columns != plain.columns) & works).any():
        if sharing == "block_shared":
            bits += len(schedule.rows) * turns * _bits(turns)
        else:
            used = schedule.columns >= 0
            indices = used & works if sharing == "row_private" else used
            bits += int(indices.sum()) * _bits(turns if scope == "slot" else columns)
    return bits


def places(schedule: Schedule, columns: int) -> tuple[Tensor, Tensor]:
    """Where in the flattened matrix [rows, columns] each place of the arrays is, and whether anything sits there.

    Args:
        schedule: Which row and column each cell holds, turn by turn.
        columns: Columns of the matrix.

    Returns:
        int64 and bool, both [A, k, Q, k]; the index is 0 where nothing sits.

    Raises:
        ValueError: A column is out of range.
    """
    if has_numbers(schedule.columns):
        _check_columns(schedule, columns)
    row, column = schedule.rows[:, :, None, None].long(), schedule.columns.long()
    real = (row >= 0) & (column >= 0)
    return torch.where(real, row * columns + column, 0), real


def _check_columns(schedule: Schedule, columns: int) -> None:
    least, largest = (int(bound) for bound in schedule.columns.aminmax())
    if least < -1 or largest >= columns:
        raise ValueError(
            f"The schedule names column {least if least < -1 else largest} of a matrix with {columns} columns; "
            f"expected 0 to {columns - 1}, or -1 for none."
        )


def _check_rows(schedule: Schedule, rows: int) -> None:
    if not has_numbers(schedule.rows):
        return
    least, largest = (int(bound) for bound in schedule.rows.aminmax())
    if least < -1 or largest >= rows:
        raise ValueError(
            f"The schedule names row {least if least < -1 else largest} of a matrix with {rows} rows; "
            f"expected 0 to {rows - 1}, or -1 for none."
        )


def _bits(choices: int) -> int:
    return (choices - 1).bit_length()
