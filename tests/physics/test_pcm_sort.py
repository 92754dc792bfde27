"""Sorted cells against every order there is, and against the plain sort."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.pcm.levels import PAD
from lightloom.physics.pcm.order import Scope
from lightloom.physics.pcm.order.sort import Direction, sort_cells
from lightloom.physics.pcm.schedule import Schedule, check, multiply, natural, sequence
from lightloom.physics.pcm.writes import Start, count, total

STARTS: tuple[Start, ...] = ("erased", "repeat", "alternate")


def levels_of(rows: int, columns: int, most: int = 15) -> Tensor:
    return torch.randint(-most, most + 1, (rows, columns), dtype=torch.int8)


def mixed(rows: int, columns: int) -> Tensor:
    """Rows of one sign, of both, of few and of many different levels."""
    levels = levels_of(rows, columns)
    levels[::4] = levels[::4].abs()
    levels[1::4] = -levels[1::4].abs()
    levels[2::4] = levels[2::4].clamp(-2, 9)
    return levels


def row_costs(levels: Tensor, schedule: Schedule, start: Start) -> Tensor:
    """Levels written for each array row, of both cells of all slots, over the inferences counted: [A, k]."""
    writes = count(sequence(levels, schedule), start)
    return (writes.rises + writes.falls).sum((1, 3))


def least_costs(levels: Tensor, schedule: Schedule, start: Start) -> Tensor:
    """The same for the best of all orders."""
    places = schedule.columns[0].flatten().tolist()
    shape = schedule.columns.shape
    every = (
        torch.tensor(order, dtype=torch.int32).view(1, 1, *shape[2:]).expand(shape)
        for order in set(permutations(places))
    )
    return torch.stack([row_costs(levels, Schedule(schedule.rows, order), start) for order in every]).amin(0)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("turns", [1, 2, 3, 6])
def test_no_order_of_a_cell_is_cheaper(turns: int, start: Start) -> None:
    levels, schedule = mixed(60, turns), natural(1, 60, turns, 1)
    best = sort_cells(levels, schedule, direction="cheapest", start=start)
    assert torch.equal(row_costs(levels, best, start), least_costs(levels, schedule, start))


@pytest.mark.parametrize(
    ("columns", "size", "start"),
    [(6, 2, "erased"), (6, 2, "repeat"), (6, 2, "alternate"), (6, 3, "erased"), (6, 3, "alternate"), (5, 2, "erased")],
)
def test_no_other_cut_of_a_row_is_cheaper(columns: int, size: int, start: Start) -> None:
    levels, schedule = mixed(40 * size // 2, columns), natural(1, 40 * size // 2, columns, size)
    best = sort_cells(levels, schedule, direction="cheapest", scope="any", start=start)
    check(best, 1, len(levels), columns)
    assert torch.equal(row_costs(levels, best, start), least_costs(levels, schedule, start))


@pytest.mark.usefixtures("backend")
def test_ascending_is_the_plain_sort_of_every_cell() -> None:
    levels, schedule = levels_of(8, 24), natural(1, 8, 24, 4)
    made = sort_cells(levels, schedule)
    assert made.columns.shape == (2, 4, 6, 4) and made.columns.dtype == torch.int32
    assert torch.equal(sequence(levels, made), sequence(levels, schedule).sort(dim=2).values)
    assert torch.equal(made.columns % 4, torch.arange(4).expand(2, 4, 6, 4))  # no weight leaves its slot
    again = sort_cells(levels, made)
    assert torch.equal(again.columns, made.columns)  # stable: sorted cells are left as they are


@pytest.mark.usefixtures("backend")
def test_the_cheapest_way_starts_at_the_end_nearer_to_zero() -> None:
    levels = torch.tensor([[3, -9, 5], [-3, 9, -5], [1, 4, 2], [-1, -4, -2]], dtype=torch.int8)
    schedule = natural(1, 4, 3, 1)
    for start, expected in (
        ("erased", [[5, 3, -9], [-5, -3, 9], [1, 2, 4], [-1, -2, -4]]),
        ("repeat", [[-9, 3, 5], [-5, -3, 9], [1, 2, 4], [-4, -2, -1]]),
    ):
        made = sort_cells(levels, schedule, direction="cheapest", start=start)  # type: ignore[arg-type]
        assert sequence(levels, made).flatten(1).tolist() == expected


@pytest.mark.usefixtures("backend")
def test_edges_come_last_in_their_slot() -> None:
    levels, schedule = levels_of(5, 11), natural(1, 5, 11, 4)
    for direction in ("ascending", "cheapest"):
        for scope in ("slot", "any"):
            made = sort_cells(levels, schedule, direction=direction, scope=scope)  # type: ignore[arg-type]
            check(made, 1, 5, 11)
            empty = (sequence(levels, made) == PAD)[made.rows >= 0]  # [rows, Q, k]
            assert empty.sum() == 5 and (empty.int().diff(dim=1) >= 0).all()
            assert (made.columns[made.rows < 0] == -1).all()


@pytest.mark.parametrize("scope", ["slot", "any"])
@pytest.mark.parametrize("direction", ["ascending", "cheapest"])
@pytest.mark.usefixtures("backend")
def test_the_product_stays_to_the_bit(scope: Scope, direction: Direction) -> None:
    levels, x = levels_of(2 * 7, 13, most=63), torch.randint(-8, 8, (3, 2 * 13))
    plain = natural(2, 7, 13, 4)
    moved = Schedule(plain.rows.flip(1), plain.columns.flip(2))
    made = sort_cells(levels, moved, direction=direction, scope=scope)
    check(made, 2, 7, 13)
    assert torch.equal(multiply(sequence(levels, made), made, x, 2), multiply(sequence(levels, plain), plain, x, 2))


def test_each_freedom_writes_less() -> None:
    levels = torch.randn(64, 1152).mul(5).round().clamp(-15, 15).to(torch.int8)
    plain = natural(1, 64, 1152, 32)
    for start in STARTS:
        orders = [plain, sort_cells(levels, plain, start=start)]
        orders.append(sort_cells(levels, orders[-1], direction="cheapest", start=start))
        orders.append(sort_cells(levels, plain, direction="cheapest", scope="any", start=start))
        natural_, ascending, cheapest, any_ = (total(count(sequence(levels, order), start)) for order in orders)
        assert ascending < natural_ / 4 and any_ < cheapest / 4
        assert cheapest < ascending if start == "erased" else cheapest == ascending
    held = sequence(levels, plain).int()
    assert total(count(sequence(levels, orders[1]), "alternate")) == int((held.amax(2) - held.amin(2)).sum())
    assert total(count(sequence(levels, orders[1]), "repeat")) == 2 * int((held.amax(2) - held.amin(2)).sum())


@pytest.mark.parametrize("most", [1, 15, 63])
@pytest.mark.parametrize(("groups", "rows", "columns", "size"), [(1, 130, 1000, 64), (2, 9, 50, 5), (1, 3, 4, 8)])
def test_the_kernel_sorts_as_torch_does(
    groups: int, rows: int, columns: int, size: int, most: int, kernels: None
) -> None:
    levels, plain = levels_of(groups * rows, columns, most), natural(groups, rows, columns, size)
    for schedule in (plain, Schedule(plain.rows, plain.columns.roll(1, 3)), sort_cells(levels, plain)):
        for direction in ("ascending", "cheapest"):
            for scope in ("slot", "any"):
                made = []
                for name in ("compiled", "torch"):
                    with compiled.use(name):  # type: ignore[arg-type]
                        made.append(sort_cells(levels, schedule, direction=direction, scope=scope).columns)  # type: ignore[arg-type]
                assert made[0].dtype == made[1].dtype and torch.equal(*made)


@pytest.mark.usefixtures("backend")
def test_what_cannot_be_sorted_is_refused() -> None:
    levels, schedule = levels_of(4, 6), natural(1, 4, 6, 2)
    with pytest.raises(TypeError, match=r"int8, not torch\.float32"):
        sort_cells(levels.float(), schedule)
    with pytest.raises(ValueError, match="these reach from 64 to 64"):
        sort_cells(torch.full_like(levels, 64), schedule)
    with pytest.raises(ValueError, match="these reach from -128 to -128"):
        sort_cells(torch.full_like(levels, PAD), schedule)
    for scope in ("slot", "any"):
        with pytest.raises(ValueError, match="names column 5 of a matrix with 5 columns"):
            sort_cells(levels[:, :5], schedule, scope=scope)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="names row 3 of a matrix with 3 rows"):
            sort_cells(levels[:3], schedule, scope=scope)  # type: ignore[arg-type]
    for wrong in ({"direction": "down"}, {"scope": "all"}, {"start": "off"}):
        with pytest.raises(ValueError, match=f"The {next(iter(wrong))} is one of"):
            sort_cells(levels, schedule, **wrong)  # type: ignore[arg-type]
