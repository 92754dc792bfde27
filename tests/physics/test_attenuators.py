"""Attenuators against the formula, with torch and with the compiled kernel."""

import math

import pytest
import torch

from lightloom.physics.attenuators import attenuate

pytestmark = pytest.mark.usefixtures("backend")


@pytest.mark.parametrize("bits", [None, 1, 3, 8, 16])
@pytest.mark.parametrize("shape", [(1, 1), (100, 9), (7, 3, 64), (2, 512), (1, 600), (0, 9)])
def test_each_value_is_gain_times_the_cosine_of_a_driven_phase(bits: int | None, shape: tuple[int, ...]) -> None:
    values = torch.randn(shape, dtype=torch.float64)
    ratio = 1 + 0.01 * torch.randn(shape, dtype=torch.float64)
    made = attenuate(values, bits=bits, gamma_ratio=ratio)
    for row, factor, result in zip(values.flatten(0, -2), ratio.flatten(0, -2), made.flatten(0, -2), strict=True):
        gain = max(abs(float(value)) for value in row)
        for value, share, realised in list(zip(row, factor, result, strict=True))[:20]:
            phase = math.acos(max(-1.0, min(1.0, float(value) / gain)))
            if bits is not None:
                step = math.pi / (2**bits - 1)
                phase = round(phase / step) * step
            assert float(realised) == pytest.approx(gain * math.cos(float(share) * phase), abs=1e-12 * gain + 1e-14)


def test_any_signed_value_is_realised_up_to_the_resolution() -> None:
    values = torch.randn(100, 9, dtype=torch.float64)
    torch.testing.assert_close(attenuate(values), values)
    gain = values.abs().amax(-1, keepdim=True)
    assert ((attenuate(values, bits=8) - values).abs() <= gain * math.pi / 255 / 2 + 1e-12).all()


def test_a_block_of_zeros_stays_zero_and_finite() -> None:
    values = torch.zeros(2, 4, requires_grad=True)
    made = attenuate(values, bits=8, gamma_ratio=torch.full((2, 4), 1.01))
    made.sum().backward()
    assert torch.equal(made, torch.zeros(2, 4))
    assert torch.equal(values.grad, torch.ones(2, 4))


def test_single_precision_rounds_as_double_does_zeros_among_them() -> None:
    values = torch.randn(200, 9)
    values[:, 4] = 0
    assert torch.equal(attenuate(values, bits=8), attenuate(values.double(), bits=8).float())


def test_strided_values_and_one_ratio_for_all_are_taken() -> None:
    values = torch.randn(9, 50).T
    made = attenuate(values, bits=8, gamma_ratio=torch.full((9,), 1.01))
    again = attenuate(values.contiguous(), bits=8, gamma_ratio=torch.full((50, 9), 1.01))
    torch.testing.assert_close(made, again)


def test_a_drive_without_bits_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 bit"):
        attenuate(torch.ones(1, 2), bits=0)


def test_dynamic_noise_is_new_at_every_use() -> None:
    values = torch.randn(50, 9)
    assert not torch.equal(attenuate(values, noise_std=0.01), attenuate(values, noise_std=0.01))


def test_a_larger_gain_is_kept_and_a_smaller_one_gives_way() -> None:
    values = torch.tensor([[0.5, -0.2], [3.0, 1.0], [0.0, 0.0]], dtype=torch.float64)
    made = attenuate(values, bits=3, least_gain=torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64))
    step = math.pi / 7
    for row, gain, result in zip(values.tolist(), [1.0, 3.0, 0.0], made.tolist(), strict=True):
        for value, realised in zip(row, result, strict=True):
            angle = round(math.acos(value / gain) / step) * step if gain else 0.0
            assert realised == pytest.approx(gain * math.cos(angle), abs=1e-12)
