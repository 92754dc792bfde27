"""Short paths through vectors of levels: in which order to write columns that a whole array has to take together.

Writing one column over another costs the levels by which they differ, sum_i |s_ia - s_ib|, so the best order of turns
is a shortest path through all columns: a travelling salesman's problem in the L1 norm. The compiled search is that of
Lin and Kernighan (Operations Research 21, 498 (1973)), with Or's insertions, neighbour lists and kicks; torch does
batched 2-opt from the nearest neighbour. Both are deterministic, and neither gives an order longer than the one it was
given. How far from the shortest they can be at most is what `bounds.lower_bound` tells.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import define, folded
from lightloom.physics.pcm.levels import PAD
from lightloom.physics.pcm.order import path_kernels as kernels

_HALF = 1 << 63  # an operator's integers are signed
_HELD = 1 << 24  # distances that the torch way works on at once


class Ends(NamedTuple):
    """Paths that all have a cost at either end: free ends cost 0, and a cycle starts and ends at its node 0."""

    distances: Tensor
    """int32 [problems, n, n]."""
    first: Tensor
    """int32 [problems, n]: cost of starting at each node."""
    last: Tensor
    """int32 [problems, n]: cost of ending there."""


def distances(points: Tensor) -> Tensor:
    """Levels written from each point to each other one.

    Args:
        points: int8 [problems, n, d], signed levels. A place that is `PAD` in either of two points counts nothing.

    Returns:
        int32 [problems, n, n], symmetric.

    Raises:
        TypeError: The points are not int8.
        ValueError: They are not of that shape.
    """
    if points.dtype != torch.int8:
        raise TypeError(f"Points are levels, int8, not {points.dtype}: make them with `levels.to_levels`.")
    if points.dim() != 3:
        raise ValueError(f"Points are [problems, n, d], not {tuple(points.shape)}.")
    table: Tensor = _distances(points)
    return table


def _run_distances(points: Tensor) -> Tensor:
    empty = points == PAD
    holes = bool((empty.any(1) != empty.all(1)).any()) if points.numel() else False
    if kernels.usable(points):
        return kernels.distances(points, holes)
    table = points.new_empty(len(points), points.shape[1], points.shape[1], dtype=torch.int32)
    for values, missing, out in zip(points, empty, table, strict=True):
        numbers = values.float().masked_fill(missing, 0)  # sums of such integers are exact up to 2^24
        for start in range(0, len(numbers), max(1, _HELD // max(1, len(numbers)))):
            part = slice(start, start + max(1, _HELD // max(1, len(numbers))))
            sums = torch.cdist(numbers[part], numbers, p=1)
            if holes:
                sums -= numbers[part].abs() @ missing.T.float() + missing[part].float() @ numbers.T.abs()
            out[part] = sums.int()
    return table


def _fake_distances(points: Tensor) -> Tensor:
    problems, n, _ = points.shape
    return points.new_empty(problems, n, n, dtype=torch.int32)


_distances = define("pcm_distances(Tensor points) -> Tensor", _run_distances, _fake_distances, folded)


def norms(points: Tensor) -> Tensor:
    """Levels written from an erased array to each point [problems, n, d]: int32 [problems, n]."""
    return points.int().masked_fill(points == PAD, 0).abs().sum(-1, dtype=torch.int32)


def path(
    distances: Tensor,
    first: Tensor | None = None,
    last: Tensor | None = None,
    *,
    closed: bool = False,
    kicks: int = 0,
    seed: int = 0,
) -> Tensor:
    """An order of the nodes that makes a short path.

    Args:
        distances: int32 [problems, n, n], symmetric and not negative.
        first: int32 [problems, n], cost of starting at each node; None costs nothing.
        last: The same for ending.
        closed: The path returns to where it started; it has no ends.
        kicks: Per node: how often the path is disturbed and mended, kept where that made it shorter. 0 stops where no
            single move helps any more. Torch makes none.
        seed: Of the kicks.

    Returns:
        int32 [problems, n], at most as long as the natural order, which is kept unless there is a shorter one. A closed
        path starts at node 0.

    Raises:
        ValueError: The tensors do not fit together, or a closed path was given costs of ends.
    """
    ends = with_ends(distances, first, last, closed=closed)
    problems, n = ends.first.shape
    if n < 2:
        order = torch.zeros(problems, n, dtype=torch.int32, device=distances.device)
    else:
        order = _path(*ends, kicks, (seed + _HALF) % (2 * _HALF) - _HALF)
    return torch.cat([order.new_zeros(problems, 1), order + 1], 1) if closed else order


def _run_path(distances: Tensor, first: Tensor, last: Tensor, kicks: int, seed: int) -> Tensor:
    ends = Ends(distances, first, last)
    if kernels.usable(*ends):
        return kernels.path(*ends, kicks, seed)
    return _shortest(_two_opt(ends), ends)


def _fake_path(distances: Tensor, first: Tensor, last: Tensor, kicks: int, seed: int) -> Tensor:
    return first.new_empty(first.shape)


_path = define(
    "pcm_path(Tensor distances, Tensor first, Tensor last, int kicks, int seed) -> Tensor",
    _run_path,
    _fake_path,
    folded,
)


def length(
    order: Tensor, distances: Tensor, first: Tensor | None = None, last: Tensor | None = None, *, closed: bool = False
) -> Tensor:
    """Levels written along each path: int64 [problems]. Arguments as `path` takes and returns them.

    Args:
        order: int64 [problems, points].
        distances: [problems, points, points].
        first: Cost of each point at the beginning; None is none.
        last: Cost of each point at the end; None is none.
        closed: Whether the end is joined to the beginning.
    """
    index, n = order.long(), distances.shape[-1]
    total = distances.flatten(1).gather(1, index[:, :-1] * n + index[:, 1:]).sum(1)
    if closed and n:
        total += distances.flatten(1).gather(1, index[:, -1:] * n + index[:, :1]).sum(1)
    if first is not None:
        total += first.gather(1, index[:, :1]).sum(1)
    if last is not None:
        total += last.gather(1, index[:, -1:]).sum(1)
    return total


def with_ends(distances: Tensor, first: Tensor | None, last: Tensor | None, *, closed: bool) -> Ends:
    """The same problems, with costs at both ends; a cycle loses its node 0.

    Args:
        distances: [problems, points, points].
        first: Cost of each point at the beginning; None is none.
        last: Cost of each point at the end; None is none.
        closed: Whether the end is joined to the beginning.

    Raises:
        ValueError: As `path`.
    """
    if distances.dtype != torch.int32 or distances.dim() != 3 or distances.shape[1] != distances.shape[2]:
        raise ValueError(
            f"Distances are int32 [problems, n, n], not {distances.dtype} {tuple(distances.shape)}; "
            "`paths.distances` makes them."
        )
    if closed and not (first is None and last is None):
        raise ValueError("A closed path has no ends: leave out `first` and `last`, or `closed`.")
    if closed:
        ends = distances[:, 0, 1:].contiguous()
        return Ends(distances[:, 1:, 1:].contiguous(), ends, ends)
    free = distances.new_zeros(distances.shape[:2])
    first, last = free if first is None else first, free if last is None else last
    for name, costs in (("first", first), ("last", last)):
        if costs.shape != free.shape or costs.dtype != torch.int32:
            raise ValueError(f"`{name}` is int32 {tuple(free.shape)}, not {costs.dtype} {tuple(costs.shape)}.")
    return Ends(distances, first, last)


def _shortest(order: Tensor, ends: Ends) -> Tensor:
    """`order`, or the natural one where that is no longer."""
    natural = torch.arange(order.shape[1], dtype=torch.int32, device=order.device).expand_as(order)
    shorter = length(order, *ends) < length(natural, *ends)
    return torch.where(shorter[:, None], order, natural)


def _two_opt(ends: Ends) -> Tensor:
    """Paths [problems, n] that no reversal of a part makes shorter; all problems move together."""
    problems, n = ends.first.shape
    costs = _framed(ends)
    every = torch.arange(problems, device=costs.device)
    places = torch.arange(n + 2, device=costs.device)
    tour = _nearest(costs)
    still = 0
    while still < n:
        for i in range(n):
            here, after = tour[:, i, None], tour[:, i + 1, None]
            ahead, beyond = tour[:, i + 1 : -1], tour[:, i + 2 :]
            joining = costs[every, tour[:, i]].gather(1, ahead) + costs[every, tour[:, i + 1]].gather(1, beyond)
            change = joining - costs[every[:, None], ahead, beyond] - costs[every[:, None], here, after]
            gain, best = change.min(1)
            still = still + 1 if int(gain.min()) >= 0 else 0
            if still >= n:
                break
            if still == 0:
                end = torch.where(gain < 0, best + i + 1, i)[:, None]
                inside = (places > i) & (places <= end)
                tour = tour.gather(1, torch.where(inside, i + 1 + end - places, places))
    return (tour[:, 1:-1] - 1).int()


def _framed(ends: Ends) -> Tensor:
    """Distances [problems, n + 2, n + 2] with the start as node 0 and the end as the last."""
    costs = torch.nn.functional.pad(ends.distances, (1, 1, 1, 1))
    costs[:, 0, 1:-1] = costs[:, 1:-1, 0] = ends.first
    costs[:, -1, 1:-1] = costs[:, 1:-1, -1] = ends.last
    return costs


def _nearest(costs: Tensor) -> Tensor:
    """Tours from node 0 on, each time to the nearest node not visited; the last node is kept for the end."""
    problems, count, _ = costs.shape
    every = torch.arange(problems, device=costs.device)
    visited = torch.zeros(problems, count, dtype=torch.bool, device=costs.device)
    visited[:, -1] = True
    tour = [torch.zeros_like(every)]
    for _ in range(count - 2):
        visited[every, tour[-1]] = True
        tour.append(costs[every, tour[-1]].masked_fill(visited, torch.iinfo(costs.dtype).max).argmin(1))
    return torch.stack([*tour, torch.full_like(every, count - 1)], 1)
