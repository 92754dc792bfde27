"""Deformable attention: sums of samples against loops in plain Python, gradients against finite differences."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.tasks.detection3d import feature_atlas
from lightloom.tasks.detection3d.deformable import DeformableAttention, SamplingLocations, attend
from lightloom.tasks.detection3d.feature_atlas import pack, sample

SHAPES = ((4, 6), (3, 3), (1, 2))
IMAGES, HEADS, DEPTH, POINTS, LOOKS = 3, 2, 3, 2, 7


def maps(dtype: torch.dtype = torch.float64) -> list[Tensor]:
    return [torch.randn(IMAGES, HEADS * DEPTH, h, w, dtype=dtype) for h, w in SHAPES]


def looks(low: float = -0.3, high: float = 1.3) -> tuple[Tensor, Tensor, Tensor]:
    """Locations [heads, levels, points, 2, K], weights and images; some locations lie outside."""
    parts = (HEADS, len(SHAPES), POINTS)
    locations = low + (high - low) * torch.rand(*parts, 2, LOOKS, dtype=torch.float64)
    return locations, torch.randn(*parts, LOOKS, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0, 2, 2])


def value(plane: Tensor, row: int, column: int) -> float:
    rows, columns = plane.shape
    return float(plane[row, column]) if 0 <= row < rows and 0 <= column < columns else 0.0


def bilinear(plane: Tensor, x: float, y: float) -> float:
    """At x, y in 0 ... 1 of a plane; beyond its border there are zeros."""
    column, row = x * plane.shape[1] - 0.5, y * plane.shape[0] - 0.5
    left, top = math.floor(column), math.floor(row)
    total = 0.0
    for down in (0, 1):
        for right in (0, 1):
            share = (1 - abs(row - top - down)) * (1 - abs(column - left - right))
            total += share * value(plane, top + down, left + right)
    return total


def by_loops(levels: list[Tensor], locations: Tensor, weights: Tensor, image: Tensor) -> Tensor:
    made = torch.zeros(LOOKS, HEADS * DEPTH, dtype=torch.float64)
    for k in range(LOOKS):
        for channel in range(HEADS * DEPTH):
            head = channel // DEPTH
            for level, planes in enumerate(levels):
                for point in range(POINTS):
                    x, y = locations[head, level, point, :, k].tolist()
                    seen = bilinear(planes[image[k], channel], x, y)
                    made[k, channel] += float(weights[head, level, point, k]) * seen
    return made


@pytest.mark.parametrize("most", [1, 40, 2**19])
def test_sums_are_those_of_loops_however_they_are_parted(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(feature_atlas._PART, "cpu", most)
    levels, (locations, weights, image) = maps(), looks()
    torch.testing.assert_close(
        sample(pack(levels, HEADS), locations, weights, image), by_loops(levels, locations, weights, image)
    )


def test_what_is_far_outside_a_map_is_zero_and_nothing_of_its_neighbours() -> None:
    levels = [torch.ones_like(level) for level in maps()]
    locations, weights, image = looks()
    for far in (-40.0, -2.0, 3.0, 55.0):
        for axis in (0, 1):
            moved = torch.full_like(locations, 0.5)
            moved[:, :, :, axis] = far
            moved.requires_grad_()
            seen = sample(pack(levels, HEADS), moved, weights, image)
            torch.testing.assert_close(seen, torch.zeros_like(seen), atol=0, rtol=0)
            (slope,) = torch.autograd.grad(seen.sum(), moved)
            assert not slope.any()


@pytest.mark.parametrize("most", [50, 2**19])
def test_gradients_are_those_of_finite_differences(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(feature_atlas._PART, "cpu", most)
    locations, weights, image = looks()

    def seen(first: Tensor, second: Tensor, third: Tensor, locations: Tensor, weights: Tensor) -> Tensor:
        return sample(pack([first, second, third], HEADS), locations, weights, image)

    inputs = [part.requires_grad_() for part in (*maps(), locations, weights)]
    assert torch.autograd.gradcheck(seen, inputs)


def test_gradients_are_those_of_grid_sample_on_one_level() -> None:
    level = torch.randn(1, 4, 5, 7, dtype=torch.float64, requires_grad=True)
    locations = torch.rand(1, 1, 1, 2, 9, dtype=torch.float64).mul(1.4).sub(0.2).requires_grad_()
    weights = torch.rand(1, 1, 1, 9, dtype=torch.float64, requires_grad=True)
    inputs = (level, locations, weights)
    ours = sample(pack([level], 1), locations, weights, torch.zeros(9, dtype=torch.long))
    grid = 2 * locations[0, 0].transpose(1, 2) - 1
    theirs = (F.grid_sample(level, grid[None, 0, None], align_corners=False)[0, :, 0] * weights[0, 0]).t()
    torch.testing.assert_close(ours, theirs)
    upstream = torch.randn_like(ours)
    for one, other in zip(*(torch.autograd.grad(y, inputs, upstream) for y in (ours, theirs)), strict=True):
        torch.testing.assert_close(one, other)


def test_maps_that_need_no_gradients_get_none() -> None:
    locations, weights, image = looks()
    levels = [level.requires_grad_() for level in maps()]
    weights.requires_grad_()
    sample(pack([level.detach() for level in levels], HEADS), locations, weights, image).sum().backward()
    assert weights.grad is not None and all(level.grad is None for level in levels)


def test_half_precision_is_widened() -> None:
    levels, (locations, weights, image) = maps(torch.float32), looks()
    exact = sample(pack(levels, HEADS), locations.float(), weights.float(), image)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(sample(pack(levels, HEADS), locations.float(), weights.float(), image), exact)
    halves = [level.bfloat16() for level in levels]
    assert sample(pack(halves, HEADS), locations.float(), weights.float(), image).dtype == torch.float32


def test_no_looks_see_nothing() -> None:
    attention = DeformableAttention(6, 2, 3, 2)
    image = torch.zeros(0, dtype=torch.long)
    sampling = attention.sampling_locations(
        torch.zeros(0, 6), torch.zeros(0, 1, 1, 2), SHAPES, image, rows=image, queries=4
    )
    seen = attention.sample_values(attention.project_values(maps(torch.float32)), sampling)
    assert seen.shape == (4, 6) and not seen.any()
    seen.sum().backward()
    assert attention.values.weight.grad is not None and not attention.values.weight.grad.any()


def drawn(width: int | None = None, *, apart: bool = False) -> DeformableAttention:
    attention = DeformableAttention(HEADS * DEPTH, HEADS, len(SHAPES), POINTS, width, apart=apart).double()
    for part in attention.parameters():
        torch.nn.init.normal_(part)
    return attention


@pytest.mark.parametrize("apart", [False, True])
def test_aim_and_weights_are_those_of_the_paper(apart: bool) -> None:
    attention, image = drawn(5, apart=apart), looks()[2]
    query, references = torch.randn(LOOKS, 5).double(), torch.rand(LOOKS, 2, len(SHAPES), 2).double()
    sampling = attention.sampling_locations(query, references, SHAPES, image)
    offsets = attention.offsets(query).view(LOOKS, HEADS, len(SHAPES), POINTS, 2)
    scores = attention.weigh(query).view(LOOKS, HEADS, len(SHAPES), POINTS)
    shares = scores.softmax(-1) / len(SHAPES) if apart else scores.flatten(2).softmax(-1).view_as(scores)
    torch.testing.assert_close(sampling.weights, shares.permute(1, 2, 3, 0))
    torch.testing.assert_close(sampling.weights.sum((1, 2)), torch.ones(HEADS, LOOKS).double())
    for level, (rows, columns) in enumerate(SHAPES):
        for point in range(POINTS):  # as many references as points: each has its own
            moved = references[:, point, level].unsqueeze(1) + offsets[:, :, level, point] / offsets.new_tensor(
                [columns, rows]
            )
            torch.testing.assert_close(sampling.locations[:, level, point], moved.permute(1, 2, 0))


def test_one_reference_serves_all_levels_and_points() -> None:
    attention, image = drawn(), looks()[2]
    query, reference = torch.randn(LOOKS, 6).double(), torch.rand(LOOKS, 1, 1, 2).double()
    one = attention.sampling_locations(query, reference, SHAPES, image)
    many = attention.sampling_locations(query, reference.expand(-1, 2, 3, -1), SHAPES, image)
    assert torch.equal(one.locations, many.locations)


def test_looks_of_a_query_are_summed() -> None:
    locations, weights, image = looks()
    rows = torch.tensor([0, 0, 1, 3, 3, 3, 0])
    values = pack(maps(), HEADS)
    each = sample(values, locations, weights, image)
    seen = attend(values, SamplingLocations(locations, weights, image, rows, 5))
    for query in range(5):
        torch.testing.assert_close(seen[query], each[rows == query].sum(0))


def test_one_aim_looks_at_two_sets_of_maps() -> None:
    attention, image = drawn(), looks()[2]
    sampling = attention.sampling_locations(
        torch.randn(LOOKS, 6).double(), torch.rand(LOOKS, 1, 1, 2).double(), SHAPES, image
    )
    first, second = maps(), maps()
    seen = [attention.sample_values(attention.project_values(levels), sampling) for levels in (first, second)]
    mean = [(one + other) / 2 for one, other in zip(first, second, strict=True)]
    # projection and sums are affine in the maps
    torch.testing.assert_close(
        attention.sample_values(attention.project_values(mean), sampling), (seen[0] + seen[1]) / 2
    )


def test_the_start_is_the_published_one() -> None:
    attention = DeformableAttention(32, 8, 2, 4)
    offsets = attention.offsets.bias.view(8, 2, 4, 2)
    corners = [(1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1)]
    for head, direction in enumerate(corners):
        for point in range(4):
            wanted = torch.tensor(direction) * float(point + 1)
            torch.testing.assert_close(offsets[head, :, point], wanted.expand(2, 2), atol=1e-5, rtol=0)
    sampling = attention.sampling_locations(
        torch.randn(3, 32), torch.rand(3, 1, 1, 2), ((4, 4), (2, 2)), torch.zeros(3).long()
    )
    torch.testing.assert_close(sampling.weights, torch.full_like(sampling.weights, 1 / 8))
