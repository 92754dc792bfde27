"""How short a path through all columns can be at most: a bound from below, to judge an order by.

Take away the ends of a path, and a spanning tree is left. So the cheapest spanning tree and the two cheapest ends,
together, are no longer than the shortest path. A price at each node, charged for every edge there and paid back for
the two that a path has, changes no path but every tree; prices are raised where the tree has more than two edges and
lowered where it has fewer (Held and Karp, Mathematical Programming 1, 6 (1971)). Prices are integers, in fractions
of a level, so the bound is exact and holds without any tolerance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import define, folded
from lightloom.physics.pcm.order import path_kernels as kernels
from lightloom.physics.pcm.order.paths import Ends, length, with_ends

_SCALE = 64  # price units in a level
_PATIENCE = 5  # rounds without a better bound after which steps are halved
_MEMORY = 0.3  # share of the last direction in the next one


def lower_bound(
    distances: Tensor,
    first: Tensor | None = None,
    last: Tensor | None = None,
    *,
    closed: bool = False,
    upper: Tensor | None = None,
    rounds: int = 100,
) -> Tensor:
    """A length that no path falls below.

    Args:
        distances: int32 [problems, n, n], symmetric and not negative.
        first: int32 [problems, n], cost of starting at each node; None costs nothing.
        last: The same for ending.
        closed: The path returns to where it started.
        upper: int64 [problems], length of a path that is known: the closer, the better the steps. Without it, that of
            the natural order.
        rounds: Trees that are looked at.

    Returns:
        int64 [problems].

    Raises:
        ValueError: As `paths.path`.
    """
    ends = with_ends(distances, first, last, closed=closed)
    problems, n = ends.first.shape
    if n == 0:
        return torch.zeros(problems, dtype=torch.int64, device=distances.device)
    if upper is None:
        natural = torch.arange(n, device=distances.device).expand(problems, n)
        upper = length(natural, *ends)
    return _ascend(ends, _SCALE * upper, rounds)


def _ascend(ends: Ends, upper: Tensor, rounds: int) -> Tensor:
    prices = torch.zeros_like(ends.first, dtype=torch.int64)
    before = torch.zeros_like(prices, dtype=torch.float64)
    best = torch.zeros_like(upper)  # no path is shorter than 0
    stale = torch.zeros_like(upper)
    step = torch.full_like(upper, 2, dtype=torch.float64)
    for _ in range(rounds):
        value, degrees = _tree(ends, prices)
        stale = torch.where(value > best, 0, stale + 1)
        best = torch.maximum(best, value)
        step = torch.where(stale == _PATIENCE, step / 2, step)
        stale = torch.where(stale == _PATIENCE, 0, stale)
        direction = (degrees - 2).double()
        size = step * (upper - value).clamp(min=0) / direction.square().sum(1).clamp(min=1)
        moved = size[:, None] * ((1 - _MEMORY) * direction + _MEMORY * before)
        prices = prices + moved.round().long()
        before = direction
    return -(-best // _SCALE)


def _tree(ends: Ends, prices: Tensor) -> tuple[Tensor, Tensor]:
    """What the cheapest tree and ends cost, prices paid back, int64 [problems]; and the edges of each node, int64."""
    totals, degrees = span(ends.distances, prices, _SCALE)
    cost, starts, stops = _cheapest_ends(_SCALE * ends.first + prices, _SCALE * ends.last + prices)
    degrees = degrees.long()
    for node in (starts, stops):
        degrees = degrees.scatter_add(1, node[:, None], torch.ones_like(node[:, None]))
    return totals + cost - 2 * prices.sum(1), degrees


def _cheapest_ends(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The cheapest start and end at two different nodes (at the same where there is one): cost, start, end."""
    if first.shape[1] == 1:
        node = torch.zeros_like(first[:, 0])
        return (first + last)[:, 0], node, node
    start, stop = first.argmin(1), last.argmin(1)
    apart = start != stop
    other_start = first.scatter(1, start[:, None], torch.iinfo(first.dtype).max).argmin(1)
    other_stop = last.scatter(1, stop[:, None], torch.iinfo(last.dtype).max).argmin(1)
    lowest = [_at(first, start), _at(last, stop)]
    later_start = _at(first, other_start) + lowest[1] < lowest[0] + _at(last, other_stop)
    start = torch.where(~apart & later_start, other_start, start)
    stop = torch.where(~apart & ~later_start, other_stop, stop)
    return _at(first, start) + _at(last, stop), start, stop


def span(distances: Tensor, prices: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Cheapest spanning trees where an edge costs `scale` times its distance and the prices of both its nodes.

    Args:
        distances: int32 [problems, n, n].
        prices: int64 [problems, n].
        scale: Price units in a unit of distance.

    Returns:
        Cost of each tree, int64 [problems], and its edges at each node, int32 [problems, n].
    """
    totals, degrees = _span(distances, prices, scale)
    return totals, degrees


def _fake(distances: Tensor, prices: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    return prices.new_empty(prices.shape[:1]), distances.new_empty(prices.shape)


def _run(distances: Tensor, prices: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    if kernels.usable(distances, prices):
        return kernels.span(distances, prices, scale)
    problems, n = prices.shape
    every = torch.arange(problems, device=prices.device)
    far = torch.iinfo(torch.int64).max
    cheapest, visited = torch.full_like(prices, far), torch.zeros_like(prices, dtype=torch.bool)
    parent, degrees = torch.zeros_like(prices), torch.zeros_like(prices, dtype=torch.int32)
    totals, here = torch.zeros_like(every), torch.zeros_like(every)
    for _ in range(n - 1):
        visited[every, here] = True
        costs = scale * distances[every, here].long() + prices + prices[every, here, None]
        parent = torch.where((costs < cheapest) & ~visited, here[:, None], parent)
        cheapest = torch.minimum(costs, cheapest)
        least, here = cheapest.masked_fill(visited, far).min(1)
        totals += least
        degrees[every, here] += 1
        degrees[every, parent[every, here]] += 1
    return totals, degrees


_span = define(
    "pcm_span(Tensor distances, Tensor prices, int scale) -> (Tensor totals, Tensor degrees)", _run, _fake, folded
)


def _at(values: Tensor, index: Tensor) -> Tensor:
    return values.gather(1, index[:, None])[:, 0]
