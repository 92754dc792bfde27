"""Orders of columns and blocks: the same matrix, and never more writes, as counted cell by cell."""

from itertools import permutations
from typing import get_args

import pytest
import torch
from torch import Tensor

from lightloom.physics.pcm.order.columns import order_blocks, order_columns
from lightloom.physics.pcm.schedule import Schedule, check, natural, sequence
from lightloom.physics.pcm.writes import Start, count, total

starts = pytest.mark.parametrize("start", get_args(Start))
SHAPES = [(1, 8, 12, 4), (1, 6, 11, 4), (2, 5, 9, 3), (3, 1, 7, 2), (1, 4, 3, 4), (1, 3, 1, 2), (1, 2, 40, 1)]
shapes = pytest.mark.parametrize("shape", SHAPES, ids=str)


def matrix(groups: int, rows: int, columns: int) -> Tensor:
    return torch.randint(-15, 16, (groups * rows, columns), dtype=torch.int8)


def written(levels: Tensor, schedule: Schedule, start: Start) -> Tensor:
    """Levels written in each array, int64 [A], over the inferences counted."""
    writes = count(sequence(levels, schedule), start)
    return (writes.rises + writes.falls).flatten(1).sum(1)


@starts
@shapes
def test_every_order_is_valid_and_never_worse(backend: str, shape: tuple[int, int, int, int], start: Start) -> None:
    groups, rows, columns, _ = shape
    levels, plain = matrix(groups, rows, columns), natural(*shape)
    before = written(levels, plain, start)
    slot = order_columns(levels, plain, start=start)
    anywhere = order_columns(levels, plain, scope="any", start=start)
    blocks = order_blocks(levels, plain, start=start)
    for schedule in (slot, anywhere, blocks):
        check(schedule, groups, rows, columns)
        assert schedule.columns.shape == plain.columns.shape and schedule.columns.dtype == torch.int32
        assert torch.equal(schedule.rows, plain.rows)
        assert (written(levels, schedule, start) <= before).all()
    assert (written(levels, anywhere, start) <= written(levels, slot, start)).all()


@shapes
def test_slots_keep_their_columns_and_blocks_stay_whole(shape: tuple[int, int, int, int]) -> None:
    groups, rows, columns, _ = shape
    levels, plain = matrix(groups, rows, columns), natural(*shape)
    slot, blocks = order_columns(levels, plain).columns, order_blocks(levels, plain).columns
    assert torch.equal(slot.sort(2).values, plain.columns.sort(2).values)
    assert {tuple(turn) for turn in blocks[0, 0].tolist()} == {tuple(turn) for turn in plain.columns[0, 0].tolist()}


@starts
@pytest.mark.parametrize("columns", [12, 11, 10])
def test_blocks_are_in_the_best_order_there_is(kernels: None, start: Start, columns: int) -> None:
    """Among all orders of full blocks; and a last one with empty slots at the best place among the others."""
    levels, plain = matrix(1, 6, columns), natural(1, 6, columns, 3)
    turns = plain.columns.shape[2]
    tried = {
        order: written(levels, Schedule(plain.rows, plain.columns[:, :, list(order)]), start)
        for order in permutations(range(turns))
    }
    made = order_blocks(levels, plain, start=start, kicks=10)
    found = written(levels, made, start)
    if columns == 12:
        assert torch.equal(found, torch.stack(list(tried.values())).amin(0))
        return
    assert (found <= tried[tuple(range(turns))]).all()
    for array in range(len(found)):
        order = (made.columns[array, 0, :, 0] // 3).tolist()
        whole = [turn for turn in order if turn != turns - 1]
        moved = [tried[(*whole[:i], turns - 1, *whole[i:])][array] for i in range(turns)]
        assert found[array] == (tried[tuple(order)][array] if order == list(range(turns)) else min(moved))


@starts
def test_slots_are_in_the_best_order_there_is(kernels: None, start: Start) -> None:
    levels, plain = matrix(1, 2, 10), natural(1, 2, 10, 2)
    made = written(levels, order_columns(levels, plain, start=start, kicks=10), start)
    best = 0
    for slot in range(2):
        half = levels[:, slot::2]
        alone = natural(1, 2, 5, 2)
        some = [Schedule(alone.rows, torch.full((1, 1, 5, 2), -1, dtype=torch.int32)) for _ in range(120)]
        for schedule, order in zip(some, permutations(range(5)), strict=True):
            schedule.columns[0, 0, :, 0] = torch.tensor(order, dtype=torch.int32)
        best += min(int(written(half, schedule, start)) for schedule in some)
    assert int(made) == best


def test_any_slot_sorts_what_differs_in_one_row(kernels: None) -> None:
    levels = torch.randperm(24).to(torch.int8)[None]
    made = order_columns(levels, natural(1, 1, 24, 4), scope="any", start="alternate")
    assert written(levels, made, "alternate").tolist() == [2 * (24 - 4)]  # four runs of six neighbours


@starts
def test_broadcast_gives_a_group_one_order(start: Start) -> None:
    levels, plain = matrix(2, 10, 21), natural(2, 10, 21, 4)
    for scope in ("slot", "any"):
        made = order_columns(levels, plain, scope=scope, start=start, broadcast_groups=2)
        check(made, 2, 10, 21)
        shared = made.columns.view(2, 3, -1)
        assert torch.equal(shared, shared[:, :1].expand_as(shared))
        assert not torch.equal(shared[0], shared[1])
        assert (written(levels, made, start).view(2, 3).sum(1) <= written(levels, plain, start).view(2, 3).sum(1)).all()


def test_reordering_again_changes_nothing_for_the_worse() -> None:
    levels, plain = matrix(1, 9, 30), natural(1, 9, 30, 4)
    once = order_columns(levels, plain, scope="any", start="repeat")
    twice = order_columns(levels, once, scope="any", start="repeat")
    check(twice, 1, 9, 30)
    assert total(count(sequence(levels, twice), "repeat")) <= total(count(sequence(levels, once), "repeat"))


def test_what_is_refused() -> None:
    levels, plain = matrix(1, 4, 12), natural(1, 4, 12, 4)
    with pytest.raises(ValueError, match="start is one of"):
        order_columns(levels, plain, start="anywhere")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="scope is one of"):
        order_columns(levels, plain, scope="some")  # type: ignore[arg-type]
    private = Schedule(plain.rows, plain.columns.expand(-1, 4, -1, -1))
    with pytest.raises(ValueError, match="begin with `natural`"):
        order_blocks(levels, private)
    holed = Schedule(plain.rows, natural(1, 4, 11, 4).columns.flip(2))
    with pytest.raises(ValueError, match="no turn but the last"):
        order_blocks(levels, holed)
    mixed = natural(1, 8, 12, 4)
    apart = Schedule(mixed.rows, torch.stack([mixed.columns[0], mixed.columns[1].flip(1)]))
    with pytest.raises(ValueError, match="orders of their own"):
        order_columns(matrix(1, 8, 12), apart, broadcast_groups=1)
