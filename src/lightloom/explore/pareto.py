"""The points that no other beats: Pareto fronts of any set of objectives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError, nearest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MORE_IS_BETTER: dict[str, bool] = {
    "accuracy": True,
    "low": True,
    "yield": True,
    "throughput_per_s": True,
    "std": False,
    "energy_j": False,
    "latency_s": False,
    "area_m2": False,
}
"""What a point can be judged by, and whether more of it is better."""

DEFAULT = ("accuracy", "energy_j", "latency_s", "area_m2")
"""What a sweep judges its points by where nothing else is asked for."""


def check(objectives: Iterable[str]) -> tuple[str, ...]:
    """The objectives, each once.

    Raises:
        RequestError: There is none, or one is unknown; the nearest known one is given.
    """
    names = tuple(dict.fromkeys(objectives))
    if not names:
        raise RequestError("A Pareto front needs an objective; give one or more of `" + "`, `".join(DEFAULT) + "`.")
    for name in names:
        if name not in MORE_IS_BETTER:
            raise RequestError(f"There is no objective `{name}`. {nearest(name, MORE_IS_BETTER)}")
    return names


@checked
def front(values: NDArray[np.float64] | Sequence[Sequence[float]], more: Sequence[bool]) -> NDArray[np.bool_]:
    """Points that no other point dominates: at least as good in every objective and better in one.

    Points that are alike in every objective do not dominate each other: all of them are on the front, or none.

    Args:
        values: [n, objectives]; infinities are allowed.
        more: For each objective, whether more of it is better.

    Returns:
        [n], True on the front.

    Raises:
        ValueError: The shapes do not fit, or a value is NaN, which cannot be compared.
    """
    import numpy as np

    table = np.asarray(values, dtype=np.float64).reshape(-1, len(more))
    if len(table) != len(values):
        raise ValueError(f"{len(more)} directions for values of shape {np.shape(values)}; give one per column")
    if np.isnan(table).any():
        raise ValueError("an objective is NaN; leave the point out or mend its measurement")
    costs = np.where(np.asarray(more, dtype=bool), -table, table) + 0.0  # -0 and 0 are alike
    unlike, which = np.unique(costs, axis=0, return_inverse=True)
    on_front = np.ones(len(unlike), dtype=bool)
    for row in range(len(unlike)):  # sorted: only an earlier row can dominate, and one on the front will
        earlier = unlike[:row][on_front[:row]]
        on_front[row] = not (earlier <= unlike[row]).all(axis=1).any()
    marks: NDArray[np.bool_] = on_front[which.reshape(-1)]
    return marks


def mark(points: Sequence[Mapping[str, Any]], objectives: Sequence[str]) -> list[bool]:
    """Mark the rows of a results table that are on the Pareto front, see `front`.

    Args:
        points: The rows.
        objectives: Names of the columns to judge by, of `MORE_IS_BETTER`.

    Raises:
        RequestError: An objective is unknown.
    """
    names = check(objectives)
    if not points:
        return []
    values = [[float(point[name]) for name in names] for point in points]
    return [bool(on) for on in front(values, [MORE_IS_BETTER[name] for name in names])]
