"""Imperfections of phase-change cells against closed forms, hand-made arrays and the published numbers."""

import math

import pytest
import torch

from lightloom.physics.pcm import drift, errors
from lightloom.physics.pcm.errors import CellErrors, CellNoise
from lightloom.physics.pcm.levels import PAD, from_levels, magnitudes, transmissions
from lightloom.physics.pcm.writes import count

TABLE = transmissions(16, 0.872)
SPAN = float(TABLE[0] - TABLE[-1])


def levels(arrays: int = 2, size: int = 3, turns: int = 5, steps: int = 15) -> torch.Tensor:
    return torch.randint(-steps, steps + 1, (arrays, size, turns, size), dtype=torch.int8)


def by_hand(sequence: torch.Tensor, table: torch.Tensor, stuck=None, absorption=None) -> torch.Tensor:
    """One place after the other, as the hardware model is written down."""
    weights = torch.zeros(sequence.shape, dtype=torch.float64)
    last = len(table) - 1
    for a, i, q, j in torch.cartesian_prod(*map(torch.arange, sequence.shape)).tolist():
        s = int(sequence[a, i, q, j])
        if s == PAD:
            continue
        lights = []
        for sign, height in enumerate((max(s, 0), max(-s, 0))):
            n = last - height
            if stuck is not None and stuck[a, sign, i, j] >= 0:
                n = int(stuck[a, sign, i, j])
            lights.append(float(table[n]) ** (1.0 if absorption is None else float(absorption[a, sign, i, j])))
        weights[a, i, q, j] = (lights[0] - lights[1]) / float(table[0] - table[last])
    return weights


# perfect cells


def test_perfect_cells_give_the_same_numbers_as_the_levels_and_nothing_where_nothing_sits() -> None:
    sequence = levels()
    exact = from_levels(sequence, magnitudes(TABLE)).float()
    assert torch.equal(errors.realise(sequence, TABLE), exact)
    sequence[0, 1, 2, 0] = sequence[1, 0, 4] = PAD
    exact[0, 1, 2, 0] = exact[1, 0, 4] = 0
    assert torch.equal(errors.realise(sequence, TABLE), exact)


def test_all_switches_off_are_the_nominal_weights_by_the_long_way_too() -> None:
    sequence = levels()
    sequence[0, 0, 1, 1] = PAD
    healthy = torch.full((2, 2, 3, 3), -1, dtype=torch.int8)
    long_way = errors.realise(sequence, TABLE, CellErrors(stuck=healthy), dtype=torch.float64)
    torch.testing.assert_close(long_way, errors.nominal(sequence, TABLE, torch.float64), atol=1e-15, rtol=0)
    assert (long_way[sequence == 0] == 0).all()


@pytest.mark.parametrize("level", [16, -16, 127, -127])
def test_levels_beyond_the_cell_are_refused(level: int) -> None:
    sequence = levels()
    sequence[0, 0, 0, 0] = level
    for settings in ({}, {"programming_std": 0.1}):
        with pytest.raises(ValueError, match=rf"within -15 ... 15.*got .*{level}"):
            errors.realise(sequence, TABLE, noise=CellNoise(**settings))


def test_cells_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`absorption` has the shape \[2, 3, 3\].*cells \[2, 2, 3, 3\]"):
        errors.realise(levels(), TABLE, CellErrors(torch.ones(2, 3, 3)))


# hidden errors of the cells


def test_stuck_cells_and_unequal_absorption_place_by_place() -> None:
    sequence = levels()
    sequence[1, 2, 3, 1] = PAD
    stuck = torch.randint(-1, 16, (2, 2, 3, 3), dtype=torch.int8)
    absorption = 1 + 0.1 * torch.randn(2, 2, 3, 3, dtype=torch.float64)
    found = errors.realise(sequence, TABLE, CellErrors(absorption, stuck), dtype=torch.float64)
    torch.testing.assert_close(found, by_hand(sequence, TABLE, stuck, absorption), atol=1e-14, rtol=0)


def test_the_light_of_the_darkest_level_cancels_in_equal_cells_and_not_in_unequal_ones() -> None:
    zero = torch.zeros(1, 1, 1, 1, dtype=torch.int8)
    equal = torch.full((1, 2, 1, 1), 1.3, dtype=torch.float64)
    assert errors.realise(zero, TABLE, CellErrors(equal), dtype=torch.float64).item() == 0
    unequal = torch.tensor([1.0, 1.1], dtype=torch.float64).view(1, 2, 1, 1)
    left = errors.realise(zero, TABLE, CellErrors(unequal), dtype=torch.float64).item()
    dark = 0.872**15
    assert left == pytest.approx((dark - dark**1.1) / (1 - dark), rel=1e-12)
    # the darker the darkest level, the less is left
    deep = transmissions(16, 0.5)
    assert abs(errors.realise(zero, deep, CellErrors(unequal), dtype=torch.float64).item()) < 1e-3 * left


# errors that are new at every write


def test_a_cell_that_is_not_written_keeps_its_error_and_its_pair_has_its_own() -> None:
    # positive cell: 5 5 3 3 0; the negative one stays erased until the last turn
    sequence = torch.tensor([5, 5, 3, 3, -2], dtype=torch.int8).view(1, 1, 5, 1)
    found = errors.realise(sequence, TABLE, noise=CellNoise(programming_std=0.01), dtype=torch.float64)
    offset = (found - errors.nominal(sequence, TABLE, torch.float64)).flatten()
    assert offset[0] == pytest.approx(offset[1].item(), abs=1e-12)
    assert offset[2] == pytest.approx(offset[3].item(), abs=1e-12)
    assert len({round(float(value), 9) for value in offset}) == 3


def test_an_empty_turn_writes_nothing() -> None:
    crystallised = torch.tensor([4, 15, 4, 15, 7, 7], dtype=torch.int8).view(1, 1, 6, 1)
    empty = torch.tensor([False, True, False, True, False, False]).view(1, 1, 6, 1)
    kept = errors.unwritten(crystallised, empty)
    assert kept.flatten().tolist() == [False, True, True, True, False, True]
    drawn = torch.arange(6.0).view(1, 1, 6, 1)
    assert errors.hold(drawn, kept).flatten().tolist() == [0, 0, 0, 0, 4, 4]
    kept = errors.unwritten(crystallised, torch.zeros_like(empty))
    assert kept.flatten().tolist() == [False] * 5 + [True]


def test_as_many_writes_are_in_error_as_are_counted() -> None:
    sequence = torch.randint(-2, 3, (2, 4, 9, 4), dtype=torch.int8)
    sequence[torch.rand(sequence.shape) < 0.2] = PAD
    sequence[:, :, 0] = 1  # all positive cells start with a write
    writes = count(sequence)
    empty = sequence == PAD
    for sign in (0, 1):
        crystallised = errors.steps_of(sequence.masked_fill(empty, 0), sign, 15)
        written = (~errors.unwritten(crystallised, empty)).sum(2)
        # the first turn is always one, and it raises the positive cells only
        assert torch.equal(written - sign, (writes.raised + writes.lowered)[:, sign])


def test_programming_error_and_read_noise_have_their_standard_deviations() -> None:
    sequence = torch.tensor([7, -7], dtype=torch.int8).repeat(50).view(1, 1, 100, 1).expand(4, 20, 100, 20)
    exact = errors.nominal(sequence, TABLE)
    for name in ("programming_std", "read_noise_std"):
        off = errors.realise(sequence, TABLE, noise=CellNoise(**{name: 0.01})) - exact
        assert off.mean().item() == pytest.approx(0, abs=2e-4)
        assert off.std().item() == pytest.approx(0.01 * math.sqrt(2), rel=0.02)  # two cells, both written
    both = errors.realise(sequence, TABLE, noise=CellNoise(programming_std=0.01, read_noise_std=0.02)) - exact
    assert both.std().item() == pytest.approx(math.sqrt(2 * (0.01**2 + 0.02**2)), rel=0.02)


def test_a_written_cell_is_never_darker_than_black() -> None:
    dark = torch.full((1, 1, 1, 1000), 0.01)
    assert errors.misprogram(dark, 0.1, torch.randn(1, 1, 1, 1000)).min() == 0


def test_a_generator_repeats_the_errors_and_leaves_the_global_stream_alone() -> None:
    sequence = levels()
    state = torch.get_rng_state()
    first, second = (
        errors.realise(
            sequence, TABLE, noise=CellNoise(programming_std=0.1), generator=torch.Generator().manual_seed(5)
        )
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


# drift


def test_the_power_law_scales_all_weights_alike_and_waits_for_the_first_read() -> None:
    sequence = levels()
    exact = errors.nominal(sequence, TABLE)
    assert torch.equal(errors.realise(sequence, TABLE, noise=CellNoise(drift_nu=0.05, drift_time=20.0)), exact)
    assert torch.equal(errors.realise(sequence, TABLE, noise=CellNoise(drift_nu=0.0, drift_time=1e6)), exact)
    late = errors.realise(sequence, TABLE, noise=CellNoise(drift_nu=0.05, drift_time=20e4))
    torch.testing.assert_close(late, exact * 10 ** (-0.05 * 4), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(("target", "micro_siemens"), [(0.0, 0.26348), (1.0, 1.05538), (0.5, 0.952705)])
def test_the_programming_parabola(target: float, micro_siemens: float) -> None:
    assert drift.programming_std(torch.tensor(target)).item() == pytest.approx(micro_siemens / 25, rel=1e-5)


def test_drift_exponents_have_the_published_limits_and_values_between() -> None:
    targets = torch.tensor([0.0, 1e-3, 0.05, 1.0])
    mean = drift.exponent_mean(targets)
    assert mean.tolist() == pytest.approx([0.1, 0.1, -0.0155 * math.log(0.05) + 0.0244, 0.049])
    std = drift.exponent_std(targets)
    assert std.tolist() == pytest.approx([0.045, 0.045, -0.0125 * math.log(0.05) - 0.0059, 0.008])
    drawn = drift.exponents(torch.full((100_000,), 0.05), torch.randn(100_000))
    assert drawn.min() >= 0
    assert drawn.mean().item() == pytest.approx(mean[2].item(), abs=1e-3)


def test_programmed_conductances_follow_the_parabola_and_are_never_negative() -> None:
    drawn = drift.program(torch.full((100_000,), 0.5), torch.randn(100_000))
    assert drawn.mean().item() == pytest.approx(0.5, abs=1e-3)
    assert drawn.std().item() == pytest.approx(0.952705 / 25, rel=0.02)
    assert drift.program(torch.zeros(1000), torch.randn(1000)).min() == 0


def test_read_noise_is_a_share_of_the_conductance_that_grows_with_time() -> None:
    programmed, drifted = torch.tensor([1.0, 1e-3, 0.0]), torch.tensor([0.8, 5e-4, 0.0])
    growth = math.sqrt(math.log((3600 + 250e-9) / 500e-9))
    found = drift.read_std(programmed, drifted, 3600.0)
    assert found.tolist() == pytest.approx([0.8 * 0.0088 * growth, 5e-4 * 0.2 * growth, 0.0])


def test_compensation_undoes_a_common_factor_and_leaves_silence_alone() -> None:
    before = torch.randn(4, 6)
    assert drift.compensation(before, 0.7 * before, (1,)).item() == pytest.approx(1 / 0.7)
    assert drift.compensation(torch.zeros(4, 6), torch.zeros(4, 6), (1,)).item() == 1


def test_electronic_cells_are_right_on_average_and_err_as_their_parts_do() -> None:
    sequence = torch.full((1, 64, 40, 64), 15, dtype=torch.int8)
    sequence[:, :, ::2] = 0  # so that every cell is written anew at every turn
    hour = errors.realise(sequence, TABLE, noise=CellNoise(electronic=True, drift_time=3600.0))
    bright = hour[sequence == 15]
    assert bright.mean().item() == pytest.approx(1, abs=0.03)
    late = math.log(3600 / 20)
    programmed = 1.05538 / 25
    exponent = 0.008 * late
    noise = 0.0088 * math.sqrt(math.log(3600 / 500e-9))
    # the dark partner is written to 0 and cannot be below: half a normal distribution, and it drifts faster
    dark = 0.26348 / 25 * math.sqrt(1 / 2 - 1 / (2 * math.pi)) * math.exp(-(0.1 - 0.049) * late)
    expected = math.hypot(programmed, exponent, noise, dark)
    assert bright.std().item() == pytest.approx(expected, rel=0.05)


def test_electronic_cells_at_the_first_read_have_not_drifted() -> None:
    sequence = torch.full((1, 32, 40, 32), 15, dtype=torch.int8)
    sequence[:, :, ::2] = 0
    weights = errors.realise(sequence, TABLE, noise=CellNoise(electronic=True, drift_time=0.0))
    assert weights[sequence == 15].mean().item() == pytest.approx(1, abs=0.01)
