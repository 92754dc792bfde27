"""Masks, their imperfections, padding, moving and detection of light, each against what it must be."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lightloom.physics import diffraction
from lightloom.physics.diffraction import Detector, Grid

KINDS: list[Detector] = ["field", "amplitude", "intensity"]
SIZE = st.integers(1, 9)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=seeded(1))


# pad and crop


@settings(deadline=None, max_examples=60)
@given(h=SIZE, w=SIZE, more=st.tuples(st.integers(0, 5), st.integers(0, 5)))
def test_crop_undoes_pad_and_the_axis_stays_where_it_is(h: int, w: int, more: tuple[int, int]) -> None:
    rows, columns = h + more[0], w + more[1]
    x = 1 + torch.rand(2, h, w, generator=seeded(h * w))
    padded = diffraction.pad(x, rows, columns)
    assert padded.shape == (2, rows, columns)
    assert torch.equal(diffraction.crop(padded, h, w), x)
    assert int(padded.count_nonzero()) == x.numel()
    assert torch.equal(padded[:, rows // 2, columns // 2], x[:, h // 2, w // 2])


def test_what_does_not_fit_is_refused_with_the_sizes() -> None:
    with pytest.raises(ValueError, match="26 x 90 samples do not fit on a grid of 80 x 80; take a grid of 80 x 90 or"):
        diffraction.pad(torch.zeros(26, 90), 80, 80)
    with pytest.raises(ValueError, match="9 x 4 samples do not fit on a grid of 8 x 8"):
        diffraction.crop(torch.zeros(8, 8), 9, 4)
    with pytest.raises(ValueError, match="do not fit"):
        diffraction.phase_mask(torch.zeros(9, 4), 8, 8)


# masks


def test_a_phase_mask_turns_light_inside_and_leaves_it_outside() -> None:
    mask = diffraction.phase_mask(torch.tensor([[0.25, 0.5], [0.75, 2.0]], dtype=torch.float64), 5, 4)
    expected = torch.ones(5, 4, dtype=torch.complex128)
    expected[1:3, 1:3] = torch.tensor([[1j, -1], [-1j, 1]])
    assert (mask - expected).abs().max() < 1e-14


def test_an_amplitude_mask_stands_in_the_middle() -> None:
    window = diffraction.amplitude_mask(torch.full((3, 1), 0.5), 3, 3, outside=0.0)
    assert window.tolist() == [[0, 0.5, 0]] * 3
    assert diffraction.amplitude_mask(torch.zeros(1, 1), 2, 2).tolist() == [[1, 1], [1, 0]]


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_quantised_phases_are_the_nearest_of_even_levels_in_a_turn(bits: int) -> None:
    turns = torch.rand(2000, dtype=torch.float64, generator=seeded()) * 4 - 2
    turns.requires_grad_()
    made = diffraction.quantise(turns, bits)
    light = torch.polar(torch.ones_like(turns), 2 * math.pi * made).detach()
    levels = torch.polar(torch.ones(2**bits).double(), torch.arange(2**bits).double() * (2 * math.pi / 2**bits))
    exact = torch.polar(torch.ones_like(turns), 2 * math.pi * turns).detach()
    nearest = levels[(exact[:, None] - levels).abs().argmin(1)]
    assert (light - nearest).abs().max() < 1e-12
    made.sum().backward()
    assert turns.grad is not None
    assert torch.equal(turns.grad, torch.ones_like(turns))
    assert diffraction.quantise(turns, None) is turns
    with pytest.raises(ValueError, match="at least 1 bit, got 0"):
        diffraction.quantise(turns, 0)


def test_phase_noise_reaches_its_share_of_the_phases() -> None:
    turns = torch.rand(200, 200, dtype=torch.float64, generator=seeded(4)).requires_grad_()
    made = diffraction.phase_noise(turns, 0.05, 0.3, seeded(7))
    error = (made - turns).detach()
    hit = error[error != 0]
    assert len(hit) == pytest.approx(2000, abs=5 * math.sqrt(2000 * 0.95))
    assert float(hit.std()) == pytest.approx(0.3, rel=5 / math.sqrt(2 * 2000))
    assert float(hit.mean()) == pytest.approx(0, abs=5 * 0.3 / math.sqrt(2000))
    assert torch.equal(made, diffraction.phase_noise(turns, 0.05, 0.3, seeded(7)))
    made.sum().backward()
    assert turns.grad is not None
    assert torch.equal(turns.grad, torch.ones_like(turns))
    assert diffraction.phase_noise(turns, 0.0, 0.3) is turns
    assert diffraction.phase_noise(turns, 0.5, 0.0) is turns
    for fraction, std in ((1.5, 0.1), (0.5, -0.1), (math.nan, 0.1)):
        with pytest.raises(ValueError, match=r"a fraction in 0 \.\.\. 1 and a std of 0 or more"):
            diffraction.phase_noise(turns, fraction, std)


# light that moves


@pytest.mark.parametrize("size", [(6, 7), (9, 8)])
def test_whole_moves_are_those_of_the_samples(size: tuple[int, int]) -> None:
    field = noise(2, *size)
    moved = diffraction.shift(field, 2, -3)
    assert (moved - field.roll((2, -3), (-2, -1))).abs().max() < 1e-12


@pytest.mark.parametrize("size", [(40, 41), (37, 44)])
def test_a_beam_moves_by_parts_of_a_sample_and_back(size: tuple[int, int]) -> None:
    def beam(dy: float, dx: float) -> Tensor:
        y = torch.arange(size[0]).double()[:, None] - size[0] // 2 - dy
        x = torch.arange(size[1]).double() - size[1] // 2 - dx
        return torch.exp(-(y.square() + x.square()) / 9).to(torch.complex128)

    moved = diffraction.shift(beam(0, 0), 0.3, -1.7)
    assert (moved - beam(0.3, -1.7)).abs().max() < 1e-9
    rough = noise(*size)
    there = diffraction.shift(rough, 0.3, -1.7)
    assert float(there.abs().square().sum()) == pytest.approx(float(rough.abs().square().sum()), rel=1e-12)
    assert (diffraction.shift(there, -0.3, 1.7) - rough).abs().max() < 1e-12


def test_a_move_has_a_gradient() -> None:
    field, target = noise(6, 5), noise(6, 5)

    def overlap(dy: Tensor, dx: Tensor) -> Tensor:
        return (diffraction.shift(field, dy, dx) * target.conj()).sum().abs()

    offset = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (0.2, -0.4)]
    assert torch.autograd.gradcheck(overlap, offset)


def test_misaligned_masks_are_masks_that_stand_elsewhere() -> None:
    # masks moved by whole samples, against the same numbers rolled
    grid, offsets = Grid(24, 27, 1e-6, 1e-6), [(2.0, -1.0), (-3.0, 4.0)]
    turns = torch.rand(2, 9, 8, dtype=torch.float64, generator=seeded(2))
    masks = diffraction.phase_mask(turns, 24, 27)
    ways = [diffraction.transfer(grid, z) for z in (5e-6, 7e-6, 11e-6)]
    field = noise(24, 27)

    truth = diffraction.propagate(field, ways[0])
    for mask, way, (dy, dx) in zip(masks, ways[1:], offsets, strict=True):
        truth = diffraction.propagate(mask.roll((int(dy), int(dx)), (0, 1)) * truth, way)
    folded = diffraction.misalign(ways, offsets)
    made = diffraction.propagate(field, folded[0])
    for mask, way in zip(masks, folded[1:], strict=True):
        made = diffraction.propagate(mask * made, way)
    assert (made - truth).abs().max() < 1e-11
    with pytest.raises(ValueError, match="2 transfer functions around 2 masks; give 3"):
        diffraction.misalign(ways[:2], offsets)


def test_no_light_is_lost_to_misalignment_between_samples() -> None:
    grid = Grid(20, 21, 1.75e-6, 1.05e-6)
    ways = diffraction.misalign([diffraction.transfer(grid, 5e-5)] * 2, [(0.5, -0.3)])
    field = noise(20, 21)
    mask = diffraction.phase_mask(torch.rand(20, 21, dtype=torch.float64, generator=seeded(5)), 20, 21)
    out = diffraction.propagate(mask * diffraction.propagate(field, ways[0]), ways[1])
    assert float(out.abs().square().sum()) == pytest.approx(float(field.abs().square().sum()), rel=1e-12)


# detection


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_detected_and_its_gradient(kind: Detector) -> None:
    field = noise(3, 4).requires_grad_()
    expected = {"field": field.real, "amplitude": torch.hypot(field.real, field.imag), "intensity": field.abs() ** 2}
    assert (diffraction.detect(field, kind) - expected[kind]).abs().max() < 1e-14
    assert torch.autograd.gradcheck(lambda u: diffraction.detect(u, kind), field)


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_the_gradient_of_an_amplitude_is_finite_in_the_dark(dtype: torch.dtype) -> None:
    field = torch.tensor([0, 1e-44, 1e-30j, 3 + 4j], dtype=dtype, requires_grad=True)
    diffraction.detect(field, "amplitude").sum().backward()
    assert field.grad is not None
    assert field.grad.isfinite().all()
    assert field.grad[0] == 0
    assert complex(field.grad[3]) == pytest.approx(0.6 + 0.8j)


def test_phases_have_the_gradient_of_the_detected_light() -> None:
    grid = Grid(7, 6, 1e-6, 1e-6)
    way, field = diffraction.transfer(grid, 4e-6), noise(7, 6)
    turns = torch.rand(3, 4, dtype=torch.float64, generator=seeded(), requires_grad=True)

    def light(turns: Tensor, kind: Detector) -> Tensor:
        behind = diffraction.phase_mask(turns, 7, 6) * diffraction.propagate(field, way)
        return diffraction.detect(diffraction.propagate(behind, way), kind)

    for kind in KINDS:
        assert torch.autograd.gradcheck(lambda t, kind=kind: light(t, kind), turns)


@pytest.mark.parametrize(("kind", "signal"), [("intensity", 0.7), ("amplitude", 0.8), ("field", -0.4)])
def test_shot_noise_has_the_variance_of_counting(kind: Detector, signal: float) -> None:
    photons, count = 500.0, 40000
    exact = torch.full((count,), signal, dtype=torch.float64, requires_grad=True)
    made = diffraction.shot_noise(exact, photons, kind, seeded(3))
    variance = signal / photons if kind == "intensity" else 1 / (4 * photons)  # of an amplitude, to first order
    assert float(made.mean().detach()) == pytest.approx(signal, abs=5 * math.sqrt(variance / count) + 1e-3)
    assert float(made.var().detach()) == pytest.approx(variance, rel=0.05)
    made.sum().backward()
    assert exact.grad is not None
    assert torch.equal(exact.grad, torch.ones_like(exact))


def test_few_photons_are_whole_numbers_of_them_and_darkness_is_dark() -> None:
    made = diffraction.shot_noise(torch.tensor([0.0, 0.1, 1.0, 2.0]).repeat(50), 3.0, generator=seeded())
    counts = made * 3
    assert (counts - counts.round()).abs().max() < 1e-5
    assert not made[::4].any()


def test_impossible_detectors_are_refused() -> None:
    field = noise(2, 2)
    with pytest.raises(ValueError, match="no detector of `phase`; take `field`, `amplitude` or `intensity`"):
        diffraction.detect(field, "phase")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a field is complex, got torch\.float64"):
        diffraction.detect(field.real)
    with pytest.raises(ValueError, match="0 photons; expected a finite number above 0"):
        diffraction.shot_noise(field.abs(), 0.0)
    for wrong in (-1.0, math.nan):
        with pytest.raises(ValueError, match="the least intensity is"):
            diffraction.shot_noise(torch.tensor([1.0, wrong]), 10.0)
