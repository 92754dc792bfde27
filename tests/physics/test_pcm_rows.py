"""Rows that share an array: valid, better by the measure they are chosen for, and by the writes that follow."""

from itertools import combinations

import pytest
import torch
from torch import Tensor

from lightloom.physics.pcm.order.columns import order_columns
from lightloom.physics.pcm.order.rows import covariance, group_rows, spread
from lightloom.physics.pcm.schedule import Schedule, check, natural, sequence
from lightloom.physics.pcm.writes import count, total


def kinds(kinds: int, each: int, columns: int) -> Tensor:
    """Rows of a few kinds, in turns, each with a sign, an offset and a little noise of its own."""
    pattern = torch.randint(-9, 10, (kinds, columns)).repeat(each, 1)
    sign = torch.randint(0, 2, (kinds * each, 1)) * 2 - 1
    noise = torch.randint(-1, 2, (kinds * each, columns))
    return (sign * pattern + noise + torch.randint(-3, 4, (kinds * each, 1))).to(torch.int8)


def written(levels: Tensor, schedule: Schedule) -> int:
    ordered = order_columns(levels, schedule, start="alternate")
    return total(count(sequence(levels, ordered), "alternate"))


def spread_of(levels: Tensor, schedule: Schedule) -> float:
    rows = schedule.rows.flatten()
    home = torch.arange(len(rows)) // schedule.rows.shape[1]
    return spread(covariance(levels, rows, 4096, 0), home)


@pytest.mark.parametrize("shape", [(1, 16, 30, 4), (1, 10, 30, 4), (2, 7, 12, 3), (3, 2, 9, 4), (1, 5, 1, 2)], ids=str)
def test_groupings_are_valid_and_never_worse(shape: tuple[int, int, int, int]) -> None:
    groups, rows, columns, _ = shape
    levels, plain = torch.randint(-15, 16, (groups * rows, columns), dtype=torch.int8), natural(*shape)
    made = group_rows(levels, plain, groups=groups)
    check(made, groups, rows, columns)
    assert torch.equal(made.columns, plain.columns)
    for group in range(groups):
        part = slice(group * len(plain.rows) // groups, (group + 1) * len(plain.rows) // groups)
        before, after = (spread_of(levels, Schedule(s.rows[part], s.columns[part])) for s in (plain, made))
        assert after >= before - 1e-9


def test_rows_of_a_kind_come_together_whatever_their_sign() -> None:
    levels, plain = kinds(4, 8, 200), natural(1, 32, 200, 8)
    made = group_rows(levels, plain)
    assert all(len(set((rows % 4).tolist())) == 1 for rows in made.rows)
    assert written(levels, made) < 0.6 * written(levels, plain)


def test_rows_that_never_change_are_shared_out() -> None:
    levels = torch.randint(-9, 10, (16, 60), dtype=torch.int8)
    levels[:8] = 0
    plain = natural(1, 16, 60, 4)
    made = group_rows(levels, plain)
    assert [int((rows < 8).sum()) for rows in made.rows] == [2, 2, 2, 2]
    assert written(levels, made) < written(levels, plain)


def test_empty_places_are_shared_out() -> None:
    levels, plain = torch.randint(-9, 10, (5, 60), dtype=torch.int8), natural(1, 5, 60, 4)
    made = group_rows(levels, plain)
    assert sorted(int((rows >= 0).sum()) for rows in made.rows) == [2, 3]
    assert written(levels, made) < written(levels, plain)


def test_no_grouping_of_a_few_rows_spreads_more() -> None:
    levels, plain = kinds(2, 3, 150), natural(1, 6, 150, 3)
    table = covariance(levels, torch.arange(6), 4096, 0)
    tried = []
    for first in combinations(range(6), 3):
        home = torch.ones(6, dtype=torch.int64)
        home[list(first)] = 0
        tried.append(spread(table, home))
    assert spread_of(levels, group_rows(levels, plain)) == pytest.approx(max(tried))


def test_the_spread_is_that_of_the_distances() -> None:
    levels = torch.randint(-9, 10, (6, 40), dtype=torch.int8)
    rows = torch.tensor([0, 1, 2, 3, 4, 5, -1, -1])
    home = torch.arange(8) // 4
    one, other = torch.combinations(torch.arange(40)).T
    apart = (levels[:, one].double() - levels[:, other].double()).abs()
    exact = sum(float(part.sum(0).std(correction=0)) for part in (apart[:4], apart[4:]))
    assert spread(covariance(levels, rows, 200_000, 0), home) == pytest.approx(exact, rel=0.02)


def test_what_is_refused() -> None:
    plain = natural(1, 8, 12, 4)
    with pytest.raises(TypeError, match="int8"):
        group_rows(torch.zeros(8, 12), plain)
    with pytest.raises(ValueError, match="shared out"):
        group_rows(torch.zeros(8, 12, dtype=torch.int8), plain, groups=3)
