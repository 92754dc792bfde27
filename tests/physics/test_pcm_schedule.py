"""Schedules of PCM arrays: laid out and read back by hand, multiplied against the plain product, counted in bits."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lightloom.physics.pcm.levels import PAD
from lightloom.physics.pcm.schedule import Schedule, check, index_bits, matrix, multiply, natural, sequence

pytestmark = pytest.mark.usefixtures("backend")

SHAPES = [(1, 4, 6, 2), (1, 5, 7, 3), (2, 3, 5, 2), (3, 1, 4, 4), (2, 9, 1, 4), (1, 3, 2, 1)]
"""Groups, rows, columns, size."""


def shuffled(groups: int, rows: int, columns: int, size: int, *, private: bool) -> Schedule:
    """Any valid schedule: rows anywhere in their group's arrays, columns anywhere in turns and slots."""
    plain = natural(groups, rows, columns, size)
    per_group = plain.rows.view(groups, -1)
    moved = torch.stack([row[torch.randperm(len(row))] for row in per_group]).view_as(plain.rows)
    orders = len(plain.rows) * (size if private else 1)
    flat = plain.columns[0].flatten()
    columns_ = torch.stack([flat[torch.randperm(len(flat))] for _ in range(orders)])
    return Schedule(moved, columns_.view(len(plain.rows), -1, *plain.columns.shape[2:]))


def test_the_natural_schedule_cuts_blocks_from_left_to_right() -> None:
    schedule = natural(2, 3, 5, 2)
    assert schedule.rows.tolist() == [[0, 1], [2, -1], [3, 4], [5, -1]]
    assert schedule.columns.shape == (4, 1, 3, 2) and schedule.columns[3, 0].tolist() == [[0, 1], [2, 3], [4, -1]]
    assert schedule.rows.dtype == schedule.columns.dtype == torch.int32
    levels = torch.arange(30, dtype=torch.int8).view(6, 5)
    laid = sequence(levels, schedule)
    assert laid[1].tolist() == [[[10, 11], [12, 13], [14, PAD]], [[PAD, PAD]] * 3]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("private", [False, True])
def test_what_is_laid_out_is_found_again(shape: tuple[int, int, int, int], private: bool) -> None:
    groups, rows, columns, _ = shape
    levels = torch.randint(-63, 64, (groups * rows, columns), dtype=torch.int8)
    for schedule in (natural(*shape), shuffled(*shape, private=private)):
        check(schedule, groups, rows, columns)
        laid = sequence(levels, schedule)
        assert laid.dtype == torch.int8 and (laid == PAD).sum() == laid.numel() - levels.numel()
        for array, row, turn, slot in torch.cartesian_prod(*map(torch.arange, laid.shape)).tolist():
            line = int(schedule.rows[array, row])
            column = int(schedule.columns[array, row if schedule.columns.shape[1] > 1 else 0, turn, slot])
            held = PAD if line < 0 or column < 0 else int(levels[line, column])
            assert int(laid[array, row, turn, slot]) == held
        assert torch.equal(matrix(laid, schedule, groups * rows, columns), levels)
        weights = torch.randn(groups * rows, columns)
        assert torch.equal(matrix(sequence(weights, schedule, empty=0), schedule, groups * rows, columns), weights)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("private", [False, True])
def test_no_order_changes_the_product(shape: tuple[int, int, int, int], private: bool) -> None:
    groups, rows, columns, _ = shape
    levels = torch.randint(-63, 64, (groups * rows, columns), dtype=torch.int8)
    x = torch.randint(-128, 128, (4, groups * columns), dtype=torch.int8)
    schedule = shuffled(*shape, private=private)
    made = multiply(sequence(levels, schedule), schedule, x, groups)
    assert made.dtype == torch.int64 and torch.equal(made, plain_product(levels.long(), x.long(), groups))
    weights, inputs = torch.randn(groups * rows, columns), torch.randn(4, groups * columns)
    laid = sequence(weights, schedule, empty=0)
    laid[sequence(levels, schedule) == PAD] = math.nan  # whatever is there is not used
    torch.testing.assert_close(
        multiply(laid, schedule, inputs, groups), plain_product(weights, inputs, groups), rtol=1e-5, atol=1e-5
    )


def plain_product(weights: Tensor, x: Tensor, groups: int) -> Tensor:
    pairs = zip(weights.chunk(groups), x.chunk(groups, dim=1), strict=True)
    return torch.cat([inputs @ part.T for part, inputs in pairs], 1)


def test_integer_weights_meet_float_inputs() -> None:
    schedule = natural(1, 2, 3, 2)
    weights, x = torch.tensor([[1, -2, 3], [0, 5, 1]]), torch.tensor([[0.5, 0.25, 2.0]])
    assert multiply(sequence(weights, schedule, empty=0), schedule, x, 1).tolist() == [[6.0, 3.25]]


def test_products_that_do_not_fit_are_refused() -> None:
    schedule = natural(1, 4, 6, 2)
    weights = sequence(torch.ones(4, 6), schedule, empty=0)
    with pytest.raises(ValueError, match="shared out among 3 groups"):
        multiply(weights, schedule, torch.ones(1, 6), 3)
    with pytest.raises(ValueError, match="6 columns for each group, and there are inputs for 8"):
        multiply(weights, schedule, torch.ones(1, 8), 1)


def spoilt(schedule: Schedule, *, row: int | None = None, column: int | None = None) -> Schedule:
    rows, columns = schedule.rows.clone(), schedule.columns.clone()
    if row is not None:
        rows[0, 0] = row
    if column is not None:
        columns[0, 0, 0, 0] = column
    return Schedule(rows, columns)


@pytest.mark.parametrize(
    ("row", "column", "words"),
    [
        (-1, None, "row 0, column 0 sits 0 times.*6 weights are missing, 0 are there more than once"),
        (1, None, "row 0, column 0 sits 0 times.*6 weights are missing, 6 are there more than once"),
        (None, -1, "row 0, column 0 sits 0 times.*2 weights are missing, 0 are there more than once"),
        (None, 1, "row 0, column 0 sits 0 times.*2 weights are missing, 2 are there more than once"),
        (4, None, "Array 0 belongs to group 0 and works for row 4, which is one of group 1"),
        (8, None, "names row 8 of a matrix with 8 rows"),
        (None, 6, "names column 6 of a matrix with 6 columns"),
        (None, -2, "names column -2 of a matrix with 6 columns; expected 0 to 5, or -1 for none"),
    ],
)
def test_a_schedule_of_another_matrix_is_named(row: int | None, column: int | None, words: str) -> None:
    schedule = natural(2, 4, 6, 2)
    check(schedule, 2, 4, 6)
    with pytest.raises(ValueError, match=words):
        check(spoilt(schedule, row=row, column=column), 2, 4, 6)


def test_nothing_is_read_from_outside_of_the_matrix() -> None:
    levels, schedule = torch.zeros(8, 6, dtype=torch.int8), natural(2, 4, 6, 2)
    for row, column in ((8, None), (-2, None), (None, 6), (None, -2), (None, 2**31 - 1)):
        with pytest.raises(ValueError, match="The schedule names"):
            sequence(levels, spoilt(schedule, row=row, column=column))
    with pytest.raises(ValueError, match="row 7 of a matrix with 7 rows"):
        matrix(sequence(levels, schedule), schedule, 7, 6)


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1; got 1, 4, 0 and 2"):
        natural(1, 4, 0, 2)


def test_an_order_takes_one_index_for_each_choice() -> None:
    shape = (2, 5, 11, 4)  # 4 arrays, 3 turns: 2 bits; 11 columns: 4 bits; 5 rows: 3 bits
    plain = natural(*shape)
    for sharing in ("row_private", "column_shared", "block_shared"):
        assert index_bits(plain, sharing, "any", groups=2) == 0
    private = Schedule(plain.rows, shuffled(*shape, private=True).columns)
    assert index_bits(private, "row_private", "slot", groups=2) == 2 * 110
    assert index_bits(private, "row_private", "any", groups=2) == 4 * 110
    shared = Schedule(plain.rows, plain.columns.flip(2))
    assert index_bits(shared, "column_shared", "slot", groups=2) == 2 * 11 * 4
    assert index_bits(shared, "column_shared", "any", groups=2) == 4 * 11 * 4
    assert index_bits(shared, "block_shared", groups=2) == 2 * 3 * 4
    assert index_bits(Schedule(plain.rows.flip(1), plain.columns), "column_shared", groups=2) == 3 * 10
    assert index_bits(Schedule(plain.rows.flip(1), private.columns), "row_private", groups=2) == 2 * 110 + 3 * 10


def test_the_published_layer_takes_seven_bits_for_each_weight() -> None:
    plain = natural(1, 512, 4608, 64)
    private = Schedule(plain.rows, plain.columns.flip(2).expand(-1, 64, -1, -1))
    assert index_bits(private, "row_private") == 7 * 512 * 4608
    assert index_bits(natural(1, 10, 512, 64), "row_private") == 0


def test_private_inputs_are_not_shared() -> None:
    schedule = shuffled(1, 4, 6, 2, private=True)
    with pytest.raises(ValueError, match="`row_private` hardware, not `column_shared`"):
        index_bits(schedule, "column_shared")
