"""Converters against closed forms."""

import pytest
import torch

from lightloom.physics.converters import convert


def test_levels_are_signed_even_and_hold_zero() -> None:
    values = torch.linspace(-3, 3, 601, dtype=torch.float64)[None]
    levels = convert(values, 3).unique()
    torch.testing.assert_close(levels, torch.arange(-3, 4, dtype=torch.float64))


def test_full_scale_is_each_sample_s_own() -> None:
    one, many = torch.randn(1, 5, 6), torch.randn(3, 5, 6)
    alone = convert(one, 4)
    together = convert(torch.cat([one, 100 * many]), 4)
    assert torch.equal(alone[0], together[0])


def test_error_is_at_most_half_a_step() -> None:
    values = torch.randn(20, 50, dtype=torch.float64)
    scale = values.abs().amax(1, keepdim=True)
    assert ((convert(values, 8) - values).abs() <= scale / 127 / 2 + 1e-12).all()


def test_one_bit_keeps_the_sign_none_keeps_all_zero_stays() -> None:
    values = torch.tensor([[0.5, -2.0, 1.0]])
    assert torch.equal(convert(values, 1), torch.tensor([[2.0, -2.0, 2.0]]))
    assert convert(values, None) is values
    assert torch.equal(convert(torch.zeros(2, 3), 8), torch.zeros(2, 3))


def test_gradient_is_straight_through_and_bad_width_is_refused() -> None:
    values = torch.randn(2, 3, requires_grad=True)
    convert(values, 2).sum().backward()
    assert torch.equal(values.grad, torch.ones(2, 3))
    with pytest.raises(ValueError, match="at least 1 bit"):
        convert(values, 0)
