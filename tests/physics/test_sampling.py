"""Masks against counts, quantiles and chances known in closed form."""

import math

import pytest
import torch
from torch import nn

from lightloom.physics import sampling


def test_topk_keeps_the_strongest_and_equally_many_in_every_column() -> None:
    norms = torch.rand(2, 10, 7)
    mask = sampling.topk(norms, 0.6)
    assert mask.sum(-2).eq(4).all()
    weakest_kept = norms.masked_fill(~mask, math.inf).amin(-2)
    strongest_left = norms.masked_fill(mask, -math.inf).amax(-2)
    assert (weakest_kept > strongest_left).all()


def test_topk_forwards_is_balanced_over_rows() -> None:
    assert sampling.topk(torch.rand(2, 7, 10), 0.6, dim=-1).sum(-1).eq(4).all()


def test_gtopk_is_one_threshold_for_the_whole_matrix() -> None:
    norms = torch.rand(1, 10, 7)
    mask = sampling.gtopk(norms, 0.5)
    assert mask.sum() == 35
    assert torch.equal(mask, norms >= norms.flatten().sort().values[35])


def test_uniform_keeps_each_with_the_density_and_never_nothing() -> None:
    mask = sampling.uniform((200, 500), 0.7)
    # standard error of a share of 100,000
    assert abs(float(mask.float().mean()) - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 1e5)
    assert all(sampling.uniform((2,), 0.99).any() for _ in range(200))


def test_a_uniform_mask_over_its_own_density_has_mean_one_in_every_element() -> None:
    draws = 4000
    masks = [sampling.uniform((3,), 0.7) for _ in range(draws)]  # a third of them would be empty
    scaled = torch.stack([mask.double() * sampling.factor(mask, "exp") for mask in masks])
    error = scaled.std(0) / math.sqrt(draws)
    assert ((scaled.mean(0) - 1).abs() < 4 * error).all()


def test_norms_make_up_for_the_mean_or_the_power() -> None:
    mask = torch.tensor([True, False, False, False])
    assert [sampling.factor(mask, norm) for norm in ("none", "var", "exp")] == [1, 2, 4]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="`uniform`, got `best`"):
        sampling.blocks(torch.rand(1, 2, 2), 0.5, "best")  # type: ignore[arg-type]


def test_ranks_by_size_or_by_chance_as_many_in_every_block() -> None:
    sigma = torch.tensor([[0.1, -3.0, 2.0, 0.5]])
    assert sampling.ranks(sigma, 2, "topk").tolist() == [[False, True, True, False]]
    many = sampling.ranks(torch.ones(5000, 4), 1, "uniform")
    assert many.sum(-1).eq(1).all()
    assert ((many.double().mean(0) - 0.25).abs() < 4 * math.sqrt(0.25 * 0.75 / 5000)).all()
    with pytest.raises(ValueError, match=r"keep 1 \.\.\. 4, got 5"):
        sampling.ranks(sigma, 5, "topk")


def test_uncertain_examples_are_those_of_high_entropy() -> None:
    sharpness = torch.tensor([0.0, 8.0, 1.0, 4.0])
    logits = sharpness[:, None] * torch.tensor([[1.0, 0.0, -1.0]])
    assert float(sampling.entropy(logits)[0]) == pytest.approx(math.log(3))
    assert sampling.uncertain(logits, 0.5).tolist() == [True, False, True, False]
    assert sampling.uncertain(torch.zeros(3, 4), 0.5).all()


@pytest.mark.parametrize(("stride", "padding", "dilation"), [((1, 1), (1, 1), (1, 1)), ((2, 1), (2, 0), (1, 2))])
def test_windows_gather_what_unfold_does(
    stride: tuple[int, int], padding: tuple[int, int], dilation: tuple[int, int]
) -> None:
    image = torch.randn(1, 1, 6, 7)
    expected = nn.functional.unfold(image, (3, 2), dilation, padding, stride)[0]
    met = sampling.windows((6, 7), (3, 2), stride, padding, dilation)
    assert torch.equal(nn.functional.pad(image.flatten(), (0, 1))[met], expected)
