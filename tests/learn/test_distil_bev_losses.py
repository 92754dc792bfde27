"""Terms of maps of the ground, each against its formula written another way."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lightloom.learn.distil import focal_pairs, gaussian_heatmap, generative, masked_kl, masked_l2, terms
from lightloom.learn.distil.bev_losses import gaussian_radius

AREA = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
SMALL = (0.0, 0.0, 0.0, 16.0, 8.0, 2.0)
MAPS = (2, 3, 4, 5)
Term = Callable[[Tensor, Tensor, Tensor], Tensor]
TERMS: list[tuple[Term, tuple[int, ...]]] = [
    (masked_l2, (2, 1, 4, 5)),
    (masked_kl, (2, 1, 4, 5)),
    (lambda t, s, m: masked_kl(t, s, m, 2.0), (2, 1, 4, 5)),
    (generative, (2, 1, 4, 5)),
    (lambda t, s, m: focal_pairs(t, s, m), (2, 3, 4)),
]
NAMES = ["l2", "kl", "soft kl", "generative", "focal"]


def draw(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mask(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(9))


def box(x: float, y: float, width: float = 2.0, length: float = 4.0, label: int = 0) -> list[float]:
    return [x, y, 0.0, width, length, 1.5, 0.3, math.nan, math.nan, label]


@pytest.mark.parametrize(("term", "shape"), TERMS, ids=NAMES)
def test_a_term_is_zero_at_a_match_and_without_a_mask(term: Term, shape: tuple[int, ...]) -> None:
    teacher, student = draw(MAPS, 0), draw(MAPS, 1).requires_grad_()
    assert float(term(teacher, teacher.clone(), mask(shape))) == 0
    assert float(term(teacher, student, mask(shape)).detach()) > 0.05
    nothing = term(teacher, student, torch.zeros(shape, dtype=torch.float64))
    nothing.backward()
    assert float(nothing.detach()) == 0 and not student.grad.any()


@pytest.mark.parametrize(("term", "shape"), TERMS, ids=NAMES)
def test_the_gradient_is_the_slope_and_only_of_what_the_mask_covers(term: Term, shape: tuple[int, ...]) -> None:
    teacher, student = draw(MAPS, 0), draw(MAPS, 1).requires_grad_()
    covers = mask(shape)
    covers[0] = 0
    assert torch.autograd.gradcheck(lambda s: term(teacher, s, covers), (student,))
    term(teacher, student, covers).backward()
    assert not student.grad[0].any() and student.grad[1].any()


@pytest.mark.parametrize(("term", "shape"), TERMS, ids=NAMES)
def test_half_precision_is_widened_and_other_shapes_are_refused(term: Term, shape: tuple[int, ...]) -> None:
    one, other, covers = draw(MAPS, 0).bfloat16(), draw(MAPS, 1).bfloat16(), mask(shape)
    exact = float(term(one.double(), other.double(), covers))
    assert float(term(one, other, covers.float())) == pytest.approx(exact, rel=1e-5)
    with pytest.raises(ValueError, match="give equal shapes"):
        term(draw(MAPS, 0), draw((2, 3, 4, 1), 1), covers)


def test_the_terms_of_maps_are_their_sums() -> None:
    teacher, student, covers = draw(MAPS, 0), draw(MAPS, 1), mask((2, 1, 4, 5))
    squares = divergences = means = 0.0
    for b in range(2):
        for i in range(4):
            for j in range(5):
                m, t, s = float(covers[b, 0, i, j]), teacher[b, :, i, j], student[b, :, i, j]
                squares += sum((m * float(s[c]) - m * float(t[c])) ** 2 for c in range(3))
                means += m * float((s - t).square().mean())
                p, q = (t / 2).softmax(0), (s / 2).softmax(0)
                divergences += m * 4 * float((p * (p / q).log()).sum())
    total = float(covers.sum())
    assert float(masked_l2(teacher, student, covers)) == pytest.approx(squares / total)
    assert float(masked_kl(teacher, student, covers, 2.0)) == pytest.approx(divergences / total)
    assert float(generative(teacher, student, covers)) == pytest.approx(means / total)


def test_pairs_are_compared_by_direction() -> None:
    teacher, student, weight = draw(MAPS, 0), draw(MAPS, 1), mask((2, 3, 4))
    cosine = torch.nn.functional.cosine_similarity(teacher, student, dim=-1)
    expected = float((weight * (2 - 2 * cosine)).sum() / weight.sum())
    assert float(focal_pairs(teacher, 7 * student, weight)) == pytest.approx(expected)
    assert float(focal_pairs(teacher, -teacher, weight)) == pytest.approx(4.0)
    # what lies outside both maps is zero in both, and a zero beside a direction still has a finite slope
    zero = torch.zeros(MAPS, dtype=torch.float64, requires_grad=True)
    focal_pairs(teacher, zero, weight).backward()
    assert torch.isfinite(zero.grad).all() and float(zero.grad.abs().max()) < 1e4


def roots(height: float, width: float, overlap: float) -> float:
    """The three radii as they are written down: x = (b + sqrt(b^2 - 4 a c)) / 2 of three equations."""
    equations = [
        (1.0, height + width, width * height * (1 - overlap) / (1 + overlap)),
        (4.0, 2 * (height + width), (1 - overlap) * width * height),
        (4 * overlap, -2 * overlap * (height + width), (overlap - 1) * width * height),
    ]
    return min((b + math.sqrt(b * b - 4 * a * c)) / 2 for a, b, c in equations)


@pytest.mark.parametrize("overlap", [0.1, 0.5, 0.7])
def test_the_radius_is_the_least_root(overlap: float) -> None:
    for height, width in ((1.0, 1.0), (5.8, 2.4), (15.0, 3.6), (2.0, 40.0), (0.0, 0.0)):
        made = gaussian_radius(*torch.tensor([height, width], dtype=torch.float64), overlap)
        assert float(made) == pytest.approx(roots(height, width, overlap), abs=1e-12)


def drawn_by_hand(found: list[list[float]], area: tuple[float, ...], shape: tuple[int, int]) -> list[list[float]]:
    """Cell by cell, as the heatmaps of detectors of centres are drawn."""
    rows, columns = shape
    cell_x, cell_y = (area[3] - area[0]) / columns, (area[4] - area[1]) / rows
    heat = [[0.0] * columns for _ in range(rows)]
    for x, y, _, width, length, *_ in found:
        radius = max(int(roots(length / cell_x, width / cell_y, 0.1)), 2)
        sigma = (2 * radius + 1) / 6
        j0, i0 = int((x - area[0]) / cell_x), int((y - area[1]) / cell_y)
        for i in range(max(i0 - radius, 0), min(i0 + radius + 1, rows)):
            for j in range(max(j0 - radius, 0), min(j0 + radius + 1, columns)):
                value = math.exp(-((i - i0) ** 2 + (j - j0) ** 2) / (2 * sigma**2))
                heat[i][j] = max(heat[i][j], value)
    return heat


def test_a_heatmap_is_drawn_object_by_object() -> None:
    there = [box(3.3, -10.0), box(5.0, -9.0, 3.0, 30.0), box(-51.1, 51.1), box(20.3, 20.3, 12.0, 18.0)]
    padding = [box(0.0, 0.0, label=-1), box(80.0, 0.0), box(0.0, -51.3)]
    made = gaussian_heatmap(torch.tensor([there + padding, padding + there[:1] * 4]), AREA, (128, 128))
    assert made.shape == (2, 1, 128, 128)
    torch.testing.assert_close(made[0, 0], torch.tensor(drawn_by_hand(there, AREA, (128, 128))))
    torch.testing.assert_close(made[1, 0], torch.tensor(drawn_by_hand(there[:1], AREA, (128, 128))))
    wide = gaussian_heatmap(torch.tensor([[box(9.0, 1.0)]]), SMALL, (4, 16))
    torch.testing.assert_close(wide[0, 0], torch.tensor(drawn_by_hand([box(9.0, 1.0)], SMALL, (4, 16))))
    assert wide.amax() == wide[0, 0, 0, 9] == 1


def test_no_boxes_make_no_heat() -> None:
    assert not gaussian_heatmap(torch.zeros(2, 0, 10), SMALL, (4, 8)).any()
    padded = torch.zeros(2, 3, 10)
    padded[..., 9] = -1
    assert not gaussian_heatmap(padded, SMALL, (4, 8)).any()
    with pytest.raises(ValueError, match=r"boxes are \(2, 3, 9\)"):
        gaussian_heatmap(torch.zeros(2, 3, 9), SMALL, (4, 8))


def test_channels_in_perspective_views_are_the_published_sum() -> None:
    """w tau^2 / (C N) x sum over N rows of images and cameras and over positions of -P_T log P_S, less the constant."""
    tau, images, channels = 2.0, 4, 3
    teacher, student = draw((images, channels, 2, 5), 0), draw((images, channels, 2, 5), 1)
    total = 0.0
    for n in range(images):
        for c in range(channels):
            of_teacher = [math.exp(float(x) / tau) for x in teacher[n, c].flatten()]
            of_student = [math.exp(float(x) / tau) for x in student[n, c].flatten()]
            for a, b in zip(of_teacher, of_student, strict=True):
                p, q = a / sum(of_teacher), b / sum(of_student)
                total += -p * math.log(q) + p * math.log(p)
    expected = tau**2 / (channels * images) * total
    assert float(terms.channel_kl(teacher, student, tau)) == pytest.approx(expected)
