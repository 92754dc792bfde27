"""Quantised weights of a trained matrix against their definition, and their gradient against finite differences."""

import math

import pytest
import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.pcm import from_levels, magnitudes, to_levels, transmissions
from lightloom.physics.pcm.quantise import levels_of, quantise

pytestmark = pytest.mark.usefixtures("backend")


def table(levels: int = 16, base: float = 0.872) -> Tensor:
    return magnitudes(transmissions(levels, base))


@pytest.mark.parametrize("gain", [None, 0.3, 2.5])
@pytest.mark.parametrize("levels", [2, 8, 16, 17, 33, 64])
def test_a_weight_is_the_nearest_that_cells_can_hold(levels: int, gain: float | None) -> None:
    matrix = torch.randn(37, 53, dtype=torch.float64)
    made = table(levels)
    weight, found = quantise(matrix, made, None if gain is None else torch.tensor(gain))
    g = 1.0 if gain is None else float(torch.tensor(gain))
    u = g * torch.tanh(matrix / g)
    largest = u.abs().max()
    assert torch.equal(found, to_levels(u / largest, made))
    torch.testing.assert_close(weight, from_levels(found, made) * largest)
    assert found.abs().max() == levels - 1
    others = torch.cat((-made, made)) * largest
    assert ((weight - u).abs() <= (others - u.unsqueeze(-1)).abs().amin(-1) + 1e-12).all()


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 2e-6), (torch.float64, 1e-12)])
@pytest.mark.parametrize("gain", [0.4, 1.0, 3.0])
def test_the_gradient_is_the_slope_of_the_tanh(gain: float, dtype: torch.dtype, tolerance: float) -> None:
    matrix = (2 * torch.randn(21, 19, dtype=dtype)).requires_grad_()
    upstream = torch.randn(21, 19, dtype=dtype)
    weight, levels = quantise(matrix, table(), torch.tensor(gain, dtype=torch.float64))
    (found,) = torch.autograd.grad(weight, matrix, upstream)
    slope = 1 - torch.tanh(matrix.detach().double() / gain) ** 2
    torch.testing.assert_close(found.double(), upstream.double() * slope, atol=tolerance, rtol=0)
    assert not levels.requires_grad and weight.dtype == dtype


def test_the_gradient_agrees_with_finite_differences_of_the_unrounded_weight() -> None:
    matrix = torch.randn(200, dtype=torch.float64, requires_grad=True)
    gain, step = 0.7, 1e-6
    (found,) = torch.autograd.grad(quantise(matrix, table(), torch.tensor(gain)).weight.sum(), matrix)
    exact = matrix.detach()
    difference = gain * (torch.tanh((exact + step) / gain) - torch.tanh((exact - step) / gain)) / (2 * step)
    torch.testing.assert_close(found, difference, atol=1e-7, rtol=0)


def test_a_matrix_of_zeros_stays_zero_and_finite() -> None:
    matrix = torch.zeros(4, 7, requires_grad=True)
    weight, levels = quantise(matrix, table())
    (slope,) = torch.autograd.grad(weight.sum(), matrix)
    assert torch.equal(weight, torch.zeros(4, 7)) and not levels.any()
    assert torch.equal(slope, torch.ones(4, 7))


def test_weights_nearest_to_zero_are_positive_zeros_whatever_their_sign() -> None:
    matrix = torch.tensor([[1.0, -1e-3, 1e-3, -0.0, 0.0]])
    weight, levels = quantise(matrix, table())
    assert levels.tolist() == [[15, 0, 0, 0, 0]]
    assert not weight[0, 1:].signbit().any()


def test_huge_weights_are_bounded_and_have_no_slope() -> None:
    matrix = torch.tensor([1e4, -1e30, 0.2], requires_grad=True)
    weight, levels = quantise(matrix, table(), torch.tensor(2.0))
    (slope,) = torch.autograd.grad(weight.sum(), matrix)
    assert weight[:2].tolist() == [2, -2] and levels[:2].tolist() == [15, -15]
    assert slope[:2].abs().max() < 1e-30 and float(slope[2]) == pytest.approx(1 - math.tanh(0.1) ** 2)


def test_nan_is_seen_in_every_weight_and_has_no_levels() -> None:
    matrix = torch.tensor([0.5, math.nan, -0.1])
    assert quantise(matrix, table()).weight.isnan().all()
    with pytest.raises(ValueError, match="NaN"):
        levels_of(matrix, table())


def test_strided_and_low_precision_matrices_are_taken() -> None:
    matrix = torch.randn(50, 30)
    weight, levels = quantise(matrix.T, table())
    again = quantise(matrix.T.contiguous(), table())
    assert torch.equal(weight, again.weight) and torch.equal(levels, again.levels)
    assert torch.equal(levels_of(matrix.T, table()), levels)
    half = matrix.bfloat16()
    weight, levels = quantise(half, table())
    assert weight.dtype == torch.bfloat16 and torch.equal(levels, levels_of(half.float(), table()))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [2, 16, 64])
def test_both_backends_choose_the_same_levels_and_weights(levels: int, dtype: torch.dtype) -> None:
    matrix = torch.randn(301, 333, dtype=dtype)
    results = []
    for name in ("torch", "compiled"):
        with compiled.use(name):
            results.append(quantise(matrix, table(levels), torch.tensor(1.3)))
    assert torch.equal(results[0].levels, results[1].levels)
    assert torch.equal(results[0].weight, results[1].weight)
