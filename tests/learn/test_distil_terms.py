"""Each term against its formula in another form, and what holds for all: 0 at a match, a gradient for the student."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, kl_divergence

from lightloom.learn.distil import terms

Term = Callable[[Tensor, Tensor], Tensor]
EVERYWHERE = torch.full((2, 1, 12), 0.5, dtype=torch.float64)
MAPS, ROWS, POSITIONS, BOXES = (2, 3, 4, 5), (4, 6), (2, 3, 12), (2, 4, 12)
TERMS: list[tuple[Term, tuple[int, ...]]] = [
    (terms.feature_mse, MAPS),
    (terms.attention_transfer, MAPS),
    (lambda t, s: terms.channel_kl(t, s, 2.0), MAPS),
    (lambda t, s: terms.logits_kl(t, s, 3.0), ROWS),
    (lambda t, s: terms.dense_logits_kl(t, s, EVERYWHERE, 2.0), POSITIONS),
    (lambda t, s: terms.boxes_iou(t.abs(), s.abs(), EVERYWHERE), BOXES),
]
NAMES = ["features", "attention", "channels", "logits", "dense logits", "boxes"]


def draw(shape: tuple[int, ...], seed: int) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("term", "shape"), TERMS, ids=NAMES)
def test_a_term_is_zero_at_a_match_and_above_elsewhere(term: Term, shape: tuple[int, ...]) -> None:
    teacher = draw(shape, 0)
    assert float(term(teacher, teacher.clone())) == 0
    assert float(term(teacher, draw(shape, 1))) > 0.01


@pytest.mark.parametrize(("term", "shape"), TERMS, ids=NAMES)
def test_the_gradient_is_the_slope(term: Term, shape: tuple[int, ...]) -> None:
    teacher, student = draw(shape, 0), draw(shape, 1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: term(teacher, s), (student,))


@pytest.mark.parametrize(("term", "shape"), TERMS, ids=NAMES)
def test_following_the_gradient_leads_to_the_teacher(term: Term, shape: tuple[int, ...]) -> None:
    teacher, student = draw(shape, 0), nn.Parameter(draw(shape, 1))
    first = float(term(teacher, student.detach()))
    optimizer = torch.optim.Adam([student], lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        loss = term(teacher, student)
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 0.05 * first


@pytest.mark.parametrize(("term", "shape"), TERMS, ids=NAMES)
def test_half_precision_is_widened(term: Term, shape: tuple[int, ...]) -> None:
    one, other = (draw(shape, seed).bfloat16() for seed in (0, 1))
    exact = float(term(one.double(), other.double()))
    assert float(term(one, other)) == pytest.approx(exact, rel=1e-5)


@pytest.mark.parametrize(("term", "shape"), TERMS, ids=NAMES)
def test_other_shapes_are_refused(term: Term, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="give equal shapes"):
        term(draw(shape, 0), draw((*shape[:-1], 1), 1))


def test_the_mean_square_is_over_all_numbers() -> None:
    assert float(terms.feature_mse(torch.zeros(MAPS), torch.full(MAPS, 3.0))) == 9.0


def test_attention_sees_no_channels_and_no_scale() -> None:
    one, other = draw(MAPS, 0), draw(MAPS, 1)
    shuffled = 7 * torch.cat([other[:, [2, 0, 1]], torch.zeros(2, 4, 4, 5)], 1)
    assert float(terms.attention_transfer(one, shuffled)) == pytest.approx(float(terms.attention_transfer(one, other)))
    a, b = ((x**2).sum(1).flatten(1) for x in (one, other))
    cosine = nn.functional.cosine_similarity(a, b)
    assert float(terms.attention_transfer(one, other)) == pytest.approx(float((2 - 2 * cosine).mean()))


def test_attention_at_different_places_is_farthest() -> None:
    left, right = torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2)
    left[..., 0], right[..., 1] = 1.0, 1.0
    assert float(terms.attention_transfer(left, right)) == pytest.approx(2.0)
    dark = torch.zeros(1, 1, 2, 2, requires_grad=True)
    terms.attention_transfer(left, dark).backward()
    assert dark.grad is not None and torch.isfinite(dark.grad).all()


def test_channels_are_distributions_over_positions() -> None:
    teacher, student = draw(MAPS, 0), draw(MAPS, 1)
    of_teacher, of_student = (Categorical(logits=x.flatten(2) / 2) for x in (teacher, student))
    expected = 4 * kl_divergence(of_teacher, of_student).mean()
    assert float(terms.channel_kl(teacher, student, 2.0)) == pytest.approx(float(expected))
    # a constant added to a channel moves no probability
    assert float(terms.channel_kl(teacher, teacher + draw((2, 3, 1, 1), 2), 2.0)) == pytest.approx(0, abs=1e-12)


def test_logits_of_images_are_distributions_over_classes() -> None:
    teacher, student = draw(ROWS, 0), draw(ROWS, 1)
    of_teacher, of_student = (Categorical(logits=x / 3) for x in (teacher, student))
    assert float(terms.logits_kl(teacher, student, 3.0)) == pytest.approx(
        float(9 * kl_divergence(of_teacher, of_student).mean())
    )


def test_the_gradient_keeps_its_size_at_any_temperature() -> None:
    """At a high temperature it tends to that of half the square distance of centred logits over K."""
    teacher, student = draw(ROWS, 0), draw(ROWS, 1).requires_grad_()
    hot = torch.autograd.grad(terms.logits_kl(teacher, student, 1e4), student)[0]
    centred = student.detach() - teacher
    centred = (centred - centred.mean(1, keepdim=True)) / (6 * 4)
    assert torch.allclose(hot, centred, rtol=1e-3, atol=1e-6)


def test_dense_logits_are_coins_weighted_by_position() -> None:
    teacher, student, weight = draw(POSITIONS, 0), draw(POSITIONS, 1), draw((2, 1, 12), 2).abs()
    coins = kl_divergence(Bernoulli(logits=teacher / 2), Bernoulli(logits=student / 2))
    expected = 4 * (coins * weight).sum() / weight.sum()
    assert float(terms.dense_logits_kl(teacher, student, weight, 2.0)) == pytest.approx(float(expected))


def test_certain_logits_stay_finite() -> None:
    sure = torch.tensor([[[200.0, -200.0]]])
    student = (-sure).requires_grad_()
    loss = terms.dense_logits_kl(sure, student, torch.ones(1, 1, 2))
    loss.backward()
    assert float(loss.detach()) == pytest.approx(200.0)
    assert student.grad is not None and torch.isfinite(student.grad).all()


def test_without_an_object_the_terms_are_exactly_zero_and_so_are_their_gradients() -> None:
    nowhere = torch.zeros(2, 1, 12, dtype=torch.float64)
    for term, shape in ((terms.dense_logits_kl, POSITIONS), (terms.boxes_iou, BOXES)):
        student = draw(shape, 1).requires_grad_()
        loss = term(draw(shape, 0), student, nowhere)
        loss.backward()
        assert float(loss.detach()) == 0
        assert student.grad is not None and torch.equal(student.grad, torch.zeros(shape, dtype=torch.float64))


def test_confidence_is_the_best_score_where_it_is_high() -> None:
    logits = torch.tensor([[[0.0, -9.0, 2.0], [math.log(3), -9.0, -2.0]]], requires_grad=True)
    score = terms.confidence(logits, threshold=0.1)
    assert not score.requires_grad
    assert torch.allclose(score, torch.tensor([[[0.75, 0.0, 1 / (1 + math.exp(-2))]]]))
    beside = torch.tensor([[[0.0, 9.0, -9.0]]])
    assert torch.allclose(terms.confidence(logits, beside, 0.1), torch.tensor([[[0.375, 0.0, 0.0]]]))


def corners(sides: Tensor) -> Tensor:
    left, top, right, bottom = sides.unbind(1)
    return torch.stack([-left, -top, right, bottom], -1)


def test_boxes_are_compared_by_generalised_overlap() -> None:
    """Against areas counted on a fine grid of points."""
    teacher, student = draw((1, 4, 3), 0).abs() + 0.3, draw((1, 4, 3), 1).abs() + 0.3
    axis = torch.linspace(-4, 4, 801, dtype=torch.float64)
    x, y = axis[None, None, :], axis[None, :, None]

    def inside(box: Tensor) -> Tensor:
        x0, y0, x1, y1 = box.unbind(-1)
        return (x > x0[:, None, None]) & (x < x1[:, None, None]) & (y > y0[:, None, None]) & (y < y1[:, None, None])

    a, b = corners(teacher)[0], corners(student)[0]
    around = inside(torch.cat([torch.minimum(a, b)[:, :2], torch.maximum(a, b)[:, 2:]], 1)).sum((1, 2))
    both, either = (inside(a) & inside(b)).sum((1, 2)), (inside(a) | inside(b)).sum((1, 2))
    giou = both / either - (around - either) / around
    weight = torch.tensor([[[0.2, 0.0, 0.9]]], dtype=torch.float64)
    expected = ((1 - giou) * weight).sum() / weight.sum()
    assert float(terms.boxes_iou(teacher, student, weight)) == pytest.approx(float(expected), abs=0.02)


def test_boxes_have_no_unit_and_empty_ones_match() -> None:
    teacher, student = draw(BOXES, 0).abs(), draw(BOXES, 1).abs()
    one, other = (terms.boxes_iou(k * teacher, k * student, EVERYWHERE) for k in (1.0, 16.0))
    assert float(one) == pytest.approx(float(other), rel=1e-4)
    assert float(terms.boxes_iou(torch.zeros(BOXES), torch.zeros(BOXES), EVERYWHERE)) == 0
