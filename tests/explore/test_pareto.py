"""Fronts against the definition, point by point, and against properties that every front has."""

import itertools

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from lightloom.common.errors import RequestError
from lightloom.explore import pareto


def by_definition(values: list[list[float]], more: list[bool]) -> list[bool]:
    def better(a: float, b: float, up: bool) -> bool:
        return a > b if up else a < b

    def beats(a: list[float], b: list[float]) -> bool:
        pairs = list(zip(a, b, more, strict=True))
        return all(x == y or better(x, y, up) for x, y, up in pairs) and any(better(*pair) for pair in pairs)

    return [not any(beats(other, own) for other in values) for own in values]


# few values, so that ties are common
TABLES = st.integers(1, 4).flatmap(
    lambda columns: st.tuples(
        st.lists(st.lists(st.sampled_from([-2.0, -0.0, 0.0, 1.0, 1.5, np.inf]), min_size=columns, max_size=columns)),
        st.lists(st.booleans(), min_size=columns, max_size=columns),
    )
)


@given(TABLES)
def test_the_front_is_what_the_definition_says(table: tuple[list[list[float]], list[bool]]) -> None:
    values, more = table
    assert pareto.front(values, more).tolist() == by_definition(values, more)


@given(TABLES, st.randoms(use_true_random=False))
def test_order_says_nothing(table: tuple[list[list[float]], list[bool]], draw: object) -> None:
    values, more = table
    order = list(range(len(values)))
    draw.shuffle(order)  # type: ignore[attr-defined]
    shuffled = pareto.front([values[number] for number in order], more)
    assert shuffled.tolist() == [pareto.front(values, more).tolist()[number] for number in order]


@given(TABLES)
def test_a_front_is_its_own_front_and_a_new_best_point_is_alone_on_it(
    table: tuple[list[list[float]], list[bool]],
) -> None:
    values, more = table
    kept = [row for row, on in zip(values, pareto.front(values, more), strict=True) if on]
    assert all(pareto.front(kept, more))
    assert bool(kept) == bool(values)
    best = [np.inf if up else -np.inf for up in more]
    marks = pareto.front([*(row for row in values if row != best), best], more)
    assert marks.tolist() == [False] * (len(marks) - 1) + [True]


def test_many_points_with_every_direction() -> None:
    values = np.random.default_rng(0).integers(0, 12, (300, 3)).astype(float)
    for more in itertools.product([False, True], repeat=3):
        assert pareto.front(values, more).tolist() == by_definition(values.tolist(), list(more))


def test_twins_are_on_the_front_together() -> None:
    assert pareto.front([[1.0, 2.0], [1.0, 2.0], [2.0, 2.0]], [False, False]).tolist() == [True, True, False]


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        pareto.front([[float("nan")]], [True])
    with pytest.raises(ValueError, match="directions"):
        pareto.front([[1.0, 2.0]], [True])


def test_rows_are_judged_by_name() -> None:
    rows = [
        {"accuracy": 0.9, "energy_j": 2.0, "yield": 0.5},
        {"accuracy": 0.8, "energy_j": 1.0, "yield": 0.5},
        {"accuracy": 0.7, "energy_j": 3.0, "yield": 0.9},
    ]
    assert pareto.mark(rows, ["accuracy", "energy_j"]) == [True, True, False]
    assert pareto.mark(rows, ["yield"]) == [False, False, True]
    assert pareto.mark([], ["accuracy"]) == []


def test_an_unknown_objective_is_told_the_nearest() -> None:
    with pytest.raises(RequestError, match="`energy_j`"):
        pareto.check(["energy"])
    with pytest.raises(RequestError, match="objective"):
        pareto.check([])
