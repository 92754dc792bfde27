"""The bound against exact shortest paths, and against the paths that are found."""

import pytest
import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.pcm.order.bounds import lower_bound, span
from lightloom.physics.pcm.order.paths import distances, length, norms, path


def exact(apart: Tensor, first: Tensor, last: Tensor) -> int:
    """Held and Karp's table: the shortest way through each set of nodes to each of them."""
    n = len(first)
    ways = {(1 << i, i): int(first[i]) for i in range(n)}
    for held in range(1, 1 << n):
        for end in range(n):
            rest = held ^ (1 << end)
            if held >> end & 1 and rest:
                ways[held, end] = min(ways[rest, i] + int(apart[i, end]) for i in range(n) if rest >> i & 1)
    return min(ways[(1 << n) - 1, end] + int(last[end]) for end in range(n))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 9])
@pytest.mark.parametrize("size", [1, 6])
def test_no_path_is_shorter(backend: str, n: int, size: int) -> None:
    points = torch.randint(-15, 16, (4, n, size), dtype=torch.int8)
    apart, first = distances(points), norms(points)
    last = torch.randint(0, 40, (4, n), dtype=torch.int32)
    shortest = torch.tensor([exact(*problem) for problem in zip(apart, first, last, strict=True)])
    found = length(path(apart, first, last), apart, first, last)
    for upper in (None, found):
        bound = lower_bound(apart, first, last, upper=upper)
        assert (bound <= shortest).all() and (shortest <= found).all()
        assert (bound >= 0.9 * shortest).all()


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7])
def test_no_cycle_is_shorter(backend: str, n: int) -> None:
    points = torch.randint(-15, 16, (5, n, 4), dtype=torch.int8)
    apart = distances(points)
    free = torch.zeros(5, n, dtype=torch.int32)
    loop = apart[:, 0, 1:]
    whole = torch.tensor([exact(d[1:, 1:], e, e) if n > 1 else 0 for d, e in zip(apart, loop, strict=True)])
    bound = lower_bound(apart, closed=True)
    assert (bound <= whole).all() and (bound >= 0.9 * whole).all()
    opened = torch.tensor([exact(*problem) for problem in zip(apart, free, free, strict=True)])
    assert (lower_bound(apart) <= opened).all()


def test_a_line_is_bounded_exactly(backend: str) -> None:
    apart = distances(torch.randperm(60).to(torch.int8)[None, :, None])
    assert lower_bound(apart, rounds=300).tolist() == [59]


def test_the_bound_is_close_where_columns_are_long(kernels: None) -> None:
    points = (4 * torch.randn(4, 72, 64)).round().clamp(-15, 15).to(torch.int8)
    apart = distances(points)
    found = length(path(apart, kicks=2), apart)
    bound = lower_bound(apart, upper=found)
    assert (bound <= found).all() and (found < 1.005 * bound).all()


def test_both_ways_give_the_same_trees(kernels: None) -> None:
    from scipy.sparse.csgraph import minimum_spanning_tree

    apart = distances(torch.randint(-63, 64, (6, 33, 5), dtype=torch.int8)) + 1
    prices = torch.randint(-900, 900, (6, 33))
    made = span(apart, prices, 64)
    with compiled.use("torch"):
        plain = span(apart, prices, 64)
    assert torch.equal(made[0], plain[0]) and torch.equal(made[1], plain[1])
    for problem, total in enumerate(made[0].tolist()):
        priced = 64 * apart[problem].long() + prices[problem] + prices[problem][:, None]
        lift = 1 - int(priced.min())  # scipy takes 0 for no edge
        assert total == int(minimum_spanning_tree((priced + lift).numpy()).sum()) - 32 * lift
    assert (made[1].sum(1) == 64).all()
