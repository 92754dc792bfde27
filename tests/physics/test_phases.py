"""Imperfections of phases against closed forms and against the published order of operations."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from lightloom.physics import mesh, phases, rounding
from lightloom.physics.phases import Drive, Imperfections

TWO_PI = 2 * math.pi


@given(bits=st.integers(1, 20))
def test_quantise_rounds_to_the_nearest_of_evenly_spaced_levels(bits: int) -> None:
    values = torch.linspace(0, TWO_PI, 1001, dtype=torch.float64)
    step = TWO_PI / (2**bits - 1)
    rounded = rounding.quantise(values, bits, span=2 * math.pi)
    assert (rounded - values).abs().max() <= step / 2 + 1e-12
    torch.testing.assert_close(rounded / step, (rounded / step).round(), atol=1e-6, rtol=0)
    assert rounded[0] == 0
    torch.testing.assert_close(rounded[-1], torch.tensor(TWO_PI, dtype=torch.float64))


def test_quantise_passes_the_gradient_straight_through() -> None:
    values = torch.rand(7, requires_grad=True)
    (3 * rounding.quantise(values, 2, span=2 * math.pi)).sum().backward()
    assert torch.equal(values.grad, torch.full((7,), 3.0))


@pytest.mark.parametrize("bits", [0, -3])
def test_a_converter_without_bits_is_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="at least 1 bit"):
        rounding.quantise(torch.zeros(1), bits, span=2 * math.pi)


def test_voltage_and_phase_are_inverse_and_quadratic() -> None:
    coefficient = phases.gamma(4.36)
    assert coefficient == pytest.approx(0.16526, abs=1e-5)
    angles = torch.linspace(0, TWO_PI, 50, dtype=torch.float64)
    volts = phases.phase_to_voltage(angles, coefficient)
    torch.testing.assert_close(phases.voltage_to_phase(volts, coefficient), angles)
    assert phases.phase_to_voltage(torch.tensor(math.pi), coefficient).item() == pytest.approx(4.36, rel=1e-6)


def test_a_voltage_converter_has_finer_steps_at_small_phases() -> None:
    angles = torch.linspace(0, TWO_PI, 5001, dtype=torch.float64)
    levels = phases.quantise_voltage(angles, 4).unique()
    assert len(levels) == 16
    gaps = levels.diff()
    assert (gaps.diff() > 0).all()
    torch.testing.assert_close(levels, TWO_PI * (torch.arange(16, dtype=torch.float64) / 15) ** 2)


def test_crosstalk_is_the_published_checkerboard_convolution() -> None:
    """Gu et al. put phases on a k x k checkerboard and convolve with [0 c 0][c 0 c][0 1 0][c 0 c][0 c 0]."""
    for size in (4, 5, 8, 9):
        count = mesh.phase_count(size, "rectangle", "real")
        angles = torch.rand(3, count, dtype=torch.float64)
        row, column = mesh.heater_positions(size, "rectangle", "real").unbind(1)
        board = torch.zeros(3, 1, size, size, dtype=torch.float64)
        board[:, 0, row, column] = angles
        c = 0.005
        kernel = torch.tensor([[0, c, 0], [c, 0, c], [0, 1, 0], [c, 0, c], [0, c, 0]], dtype=torch.float64)
        expected = F.conv2d(board, kernel[None, None], padding=(2, 1))[:, 0, row, column]
        made = phases.crosstalk(angles, c, mesh.neighbours(size, "rectangle", "real"))
        torch.testing.assert_close(made, expected)


@pytest.mark.parametrize("layout", ["rectangle", "triangle"])
@pytest.mark.parametrize("field", ["real", "complex"])
def test_crosstalk_is_mutual(layout: mesh.Layout, field: mesh.Field) -> None:
    count = mesh.phase_count(6, layout, field)
    unit = torch.eye(count, dtype=torch.float64)
    spread = phases.crosstalk(unit, 0.1, mesh.neighbours(6, layout, field))
    assert torch.equal(spread, spread.T)
    assert torch.equal(spread.diagonal(), torch.ones(count, dtype=torch.float64))


def test_realise_applies_everything_in_the_order_of_the_hardware() -> None:
    """W(Omega Gamma Q(Phi) + Phi_b), written out by hand."""
    torch.manual_seed(0)
    count, neighbours = mesh.phase_count(5, "rectangle", "real"), mesh.neighbours(5, "rectangle", "real")
    commanded = 20 * torch.randn(2, count, dtype=torch.float64)
    ratio, bias = 1 + 0.01 * torch.randn(2, count, dtype=torch.float64), torch.rand(2, count, dtype=torch.float64)
    before = commanded.clone()
    made = phases.realise(
        commanded, Drive(bits=6, coupling=0.02, neighbours=neighbours), Imperfections(gamma=ratio, bias=bias)
    )
    step = TWO_PI / 63
    driven = torch.round(commanded.remainder(TWO_PI) / step) * step * ratio
    omega = phases.crosstalk(torch.eye(count, dtype=torch.float64), 0.02, neighbours)
    torch.testing.assert_close(made, driven @ omega + bias)
    assert torch.equal(commanded, before)


@pytest.mark.parametrize("bits", [None, 16, 24, 32])
def test_imperfections_act_at_every_bit_width(bits: int | None) -> None:
    """The published code silently switches noise off from 16 bits on."""
    angles = torch.rand(200, dtype=torch.float64)
    made = phases.realise(angles, Drive(bits=bits), Imperfections(gamma=torch.full_like(angles, 1.02)))
    torch.testing.assert_close(made, 1.02 * angles, atol=1e-3, rtol=0)
    noisy = phases.realise(angles, Drive(bits=bits, noise_std=0.1))
    assert 0.05 < (noisy - angles).std() < 0.12


def test_dynamic_noise_is_new_at_every_use_and_cut_at_two_sigma() -> None:
    angles = torch.zeros(5000)
    one, other = (phases.realise(angles, Drive(noise_std=0.1)) for _ in range(2))
    assert not torch.equal(one, other)
    assert one.abs().max() <= 0.2
    assert one.std().item() == pytest.approx(0.1 * 0.8796, rel=0.05)  # of a normal cut at two sigma


def test_crosstalk_without_geometry_is_refused() -> None:
    with pytest.raises(ValueError, match=r"mesh\.neighbours"):
        phases.realise(torch.zeros(3), Drive(coupling=0.1))


def test_realised_phases_have_the_exact_gradient() -> None:
    neighbours = mesh.neighbours(4, "rectangle", "real")
    ratio = 1 + 0.1 * torch.rand(6, dtype=torch.float64)
    angles = (0.5 + torch.rand(2, 6, dtype=torch.float64)).requires_grad_()

    def realised(values: torch.Tensor) -> torch.Tensor:
        drive = Drive(coupling=0.05, neighbours=neighbours)
        return phases.realise(values, drive, Imperfections(gamma=ratio, bias=ratio))

    assert torch.autograd.gradcheck(realised, angles)
