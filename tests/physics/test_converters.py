"""Converters against closed forms."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightloom.physics.converters import convert


def test_levels_are_signed_even_and_hold_zero() -> None:
    values = torch.linspace(-3, 3, 601, dtype=torch.float64)
    levels = convert(values, 3, dims=1).unique()
    torch.testing.assert_close(levels, torch.arange(-3, 4, dtype=torch.float64))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=0, max_size=3),
    st.integers(1, 3),
    st.integers(1, 9),
    st.booleans(),
    st.integers(0, 99),
)
def test_a_signal_is_rounded_alike_wherever_it_stands(
    around: list[int], dims: int, bits: int, intensity: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    signals = torch.randn(*around, *range(2, 2 + dims), generator=generator)
    signals = signals * 10 ** torch.randn(*around, *[1] * dims, generator=generator)
    together = convert(signals, bits, dims=dims, intensity=intensity).flatten(0, len(around) - 1 if around else 0)
    if not around:
        together = together[None] if dims == 1 else convert(signals, bits, dims=dims, intensity=intensity)[None]
        signals = signals[None]
    for alone, rounded in zip(signals.reshape(-1, *range(2, 2 + dims)), together, strict=True):
        assert torch.equal(convert(alone, bits, dims=dims, intensity=intensity), rounded)


def test_error_is_at_most_half_a_step() -> None:
    values = torch.randn(20, 50, dtype=torch.float64)
    scale = values.abs().amax(1, keepdim=True)
    assert ((convert(values, 8, dims=1) - values).abs() <= scale / 127 / 2 + 1e-12).all()


def test_one_bit_keeps_the_sign_none_keeps_all_zero_stays() -> None:
    values = torch.tensor([[0.5, -2.0, 1.0]])
    assert torch.equal(convert(values, 1, dims=1), torch.tensor([[2.0, -2.0, 2.0]]))
    assert convert(values, None, dims=1) is values
    assert torch.equal(convert(torch.zeros(2, 3), 8, dims=1), torch.zeros(2, 3))
    assert convert(torch.zeros(2, 0), 8, dims=1).shape == (2, 0)


def test_a_static_range_clips_and_rounds_to_its_own_steps() -> None:
    values = torch.tensor([-9.0, -0.9, 0.2, 0.4, 3.0], requires_grad=True)
    rounded = convert(values, 3, dims=1, full_scale=torch.tensor(1.5))  # steps of 0.5 up to 1.5
    torch.testing.assert_close(rounded, torch.tensor([-1.5, -1.0, 0.0, 0.5, 1.5]))
    rounded.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == [0, 1, 1, 1, 0]


def test_gradient_is_straight_through_and_bad_requests_are_refused() -> None:
    values = torch.randn(2, 3, requires_grad=True)
    convert(values, 2, dims=1).sum().backward()
    assert torch.equal(values.grad, torch.ones(2, 3))
    with pytest.raises(ValueError, match="at least 1 bit"):
        convert(values, 0, dims=1)
    for dims in (0, 3):
        with pytest.raises(ValueError, match="signal"):
            convert(values, 4, dims=dims)
