"""Distances against their definition, paths against all permutations, and both ways against each other."""

from itertools import pairwise, permutations

import pytest
import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.pcm import PAD
from lightloom.physics.pcm.order.paths import distances, length, norms, path


def clouds(problems: int, n: int, size: int, holes: float = 0.0) -> Tensor:
    points = torch.randint(-63, 64, (problems, n, size), dtype=torch.int8)
    return points.masked_fill(torch.rand(points.shape) < holes, PAD)


def by_definition(points: Tensor) -> Tensor:
    one, other = points[:, :, None].int(), points[:, None].int()
    return torch.where((one == PAD) | (other == PAD), 0, (one - other).abs()).sum(-1, dtype=torch.int32)


def shortest(apart: Tensor, first: Tensor, last: Tensor, closed: bool) -> int:
    best = None
    for order in permutations(range(len(apart))):
        steps = sum(int(apart[a, b]) for a, b in pairwise(order))
        total = steps + int(apart[order[-1], order[0]] if closed else first[order[0]] + last[order[-1]])
        best = total if best is None else min(best, total)
    assert best is not None
    return best


@pytest.mark.parametrize("shape", [(3, 17, 5), (2, 70, 130), (1, 200, 64), (4, 1, 3), (2, 5, 1)])
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_distances_are_levels_written(backend: str, shape: tuple[int, int, int], holes: float) -> None:
    points = clouds(*shape, holes)
    assert torch.equal(distances(points), by_definition(points))


def test_distances_reach_the_largest_levels(backend: str) -> None:
    points = torch.full((1, 2, 4096), 63, dtype=torch.int8)
    points[0, 1] = -63
    assert distances(points)[0].tolist() == [[0, 4096 * 126], [4096 * 126, 0]]


def test_norms_are_distances_from_an_erased_array() -> None:
    points = clouds(3, 20, 33, 0.2)
    erased = torch.zeros(3, 1, 33, dtype=torch.int8)
    assert torch.equal(norms(points), by_definition(torch.cat([points, erased], 1))[:, :-1, -1])


def test_rows_that_are_missing_everywhere_count_nothing(backend: str) -> None:
    points = clouds(2, 12, 40)
    padded = torch.cat([points, torch.full((2, 12, 9), PAD, dtype=torch.int8)], 2)
    assert torch.equal(distances(padded), distances(points))


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 7])
@pytest.mark.parametrize("ends", ["free", "start", "both", "closed"])
def test_short_paths_are_the_shortest(kernels: None, n: int, ends: str) -> None:
    apart = distances(clouds(6, n, 3))
    first = torch.randint(0, 150, (6, n), dtype=torch.int32) * (ends in ("start", "both"))
    last = torch.randint(0, 150, (6, n), dtype=torch.int32) * (ends == "both")
    closed = ends == "closed"
    costs = (None, None) if closed else (first, last)
    order = path(apart, *costs, closed=closed, kicks=20)
    best = [shortest(*problem, closed) for problem in zip(apart, first, last, strict=True)]
    assert length(order, apart, *costs, closed=closed).tolist() == best


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("n", [1, 2, 6, 40])
def test_orders_are_permutations_and_never_longer_than_before(backend: str, n: int, closed: bool) -> None:
    points = clouds(5, n, 4)
    points[0] = points[0].sort(0).values  # the natural order is hard to beat here
    apart = distances(points)
    first = None if closed else norms(points)
    order = path(apart, first, closed=closed)
    natural = torch.arange(n, dtype=torch.int32).expand(5, n)
    assert torch.equal(order.sort(1).values, natural)
    new, old = (length(o, apart, first, closed=closed) for o in (order, natural))
    assert (new <= old).all()
    assert torch.equal(order[new == old], natural[new == old])


def test_a_line_is_walked_from_end_to_end(backend: str) -> None:
    places = torch.stack([torch.randperm(50), torch.randperm(50)]).to(torch.int8)[:, :, None]
    apart = distances(places)
    assert length(path(apart), apart).tolist() == [49, 49]
    assert length(path(apart, closed=True), apart, closed=True).tolist() == [98, 98]


def test_no_single_move_is_left(backend: str) -> None:
    """Of a path without ends, no part can be turned round for a gain."""
    apart = distances(clouds(4, 30, 6))
    order = path(apart).long()
    found = length(order, apart)
    for i in range(30):
        for j in range(i + 2, 31):
            turned = torch.cat([order[:, :i], order[:, i:j].flip(1), order[:, j:]], 1)
            assert (length(turned, apart) >= found).all()


def test_names_of_nodes_do_not_matter_much(kernels: None) -> None:
    points = clouds(1, 120, 16)
    moved = points[:, torch.randperm(120)]
    lengths = [int(length(path(apart, kicks=3), apart)) for apart in (distances(points), distances(moved))]
    assert abs(lengths[0] - lengths[1]) < 0.01 * lengths[0]


def test_kicks_help_and_repeat(kernels: None) -> None:
    apart = distances(clouds(3, 150, 3))
    plain, kicked = path(apart), path(apart, kicks=5)
    assert (length(kicked, apart) < length(plain, apart)).all()
    assert torch.equal(path(apart, kicks=5), kicked)
    assert not torch.equal(path(apart, kicks=5, seed=1), kicked)
    assert torch.equal(path(apart[1:2], kicks=5), kicked[1:2])  # whatever else is in the batch


def test_compiled_paths_are_no_longer_than_those_of_torch(kernels: None) -> None:
    apart = distances(clouds(8, 60, 20))
    with compiled.use("torch"):
        plain = length(path(apart), apart)
    assert length(path(apart), apart).sum() < plain.sum()


def test_what_is_refused() -> None:
    apart = distances(clouds(2, 4, 3))
    with pytest.raises(TypeError, match="int8"):
        distances(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match=r"\[problems, n, d\]"):
        distances(torch.zeros(3, 4, dtype=torch.int8))
    with pytest.raises(ValueError, match="no ends"):
        path(apart, apart[:, 0].contiguous(), closed=True)
    with pytest.raises(ValueError, match="`first` is int32"):
        path(apart, apart[:1, 0])
    with pytest.raises(ValueError, match=r"\[problems, n, n\]"):
        path(apart.float())
