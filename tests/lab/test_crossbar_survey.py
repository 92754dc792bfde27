"""Crossbars on the bench: the instrument against the layers' own physics, and what a survey finds of hidden errors."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightloom import chips
from lightloom.chips import PCMChip, PCMErrors
from lightloom.common.errors import RequestError, WorkError
from lightloom.lab.crossbar import SimulatedCrossbar, Surveyed, survey
from lightloom.lab.crossbar.survey import patterns
from lightloom.physics.pcm import errors as pcm_errors
from lightloom.physics.pcm.levels import transmissions

ELIGHT = chips.preset("elight", PCMChip).replace(block_size=16)
PERFECT = PCMErrors(None, None)


def crossbar(chip: PCMChip, arrays: int = 2, readout_std: float = 0.0) -> tuple[SimulatedCrossbar, PCMErrors]:
    hidden = chip.specimen(4).pcm_errors("bench", arrays)
    return SimulatedCrossbar(chip, hidden, arrays, readout_std=readout_std, seed=1), hidden


def transmission(errors: PCMErrors | Surveyed, steps: Tensor) -> Tensor:
    """Of each cell when these steps are asked for."""
    assert errors.stuck is not None
    held = torch.where(errors.stuck < 0, steps, errors.stuck)
    absorption = torch.ones(()) if errors.absorption is None else errors.absorption.double()
    return transmissions(16, 0.872)[held.int()] ** absorption


# the instrument


def test_the_bench_measures_what_the_physics_of_the_layers_computes() -> None:
    instrument, hidden = crossbar(ELIGHT.replace(absorption_std=0.1, stuck_fraction=0.1))
    levels = torch.randint(-15, 16, (2, 16, 16), dtype=torch.int8)
    instrument.program_pairs(levels)
    inputs = torch.rand(2, 16, 5, dtype=torch.float64)
    made = pcm_errors.realise(
        levels.unsqueeze(2),
        ELIGHT.table(),
        hidden,
        dtype=torch.float64,
    ).squeeze(2)
    torch.testing.assert_close(instrument.measure(inputs), made @ inputs, atol=1e-12, rtol=0)


def test_calls_and_written_levels_are_counted() -> None:
    instrument, _ = crossbar(ELIGHT)
    steps = torch.full((2, 2, 16, 16), 15, dtype=torch.int8)
    instrument.program(steps)
    assert instrument.writes.sum() == 0  # it starts erased
    steps[0, 1, 3, 5] = 4
    instrument.program(steps)
    steps[0, 1, 3, 5] = 9
    instrument.program(steps)
    assert instrument.writes[0, 1, 3, 5] == 11 + 5
    assert instrument.writes.sum() == 16
    instrument.measure(torch.ones(16, 16))
    instrument.measure(torch.ones(2, 16, 17))
    assert instrument.calls == 1 + 2


def test_a_write_brings_a_new_error_and_a_cell_left_alone_keeps_its_own() -> None:
    instrument, _ = crossbar(ELIGHT.replace(programming_std=0.01, block_size=64), arrays=4)
    light = torch.eye(64)
    before = instrument.measure(light)
    assert 0.9 < float(before.std()) / (0.01 * 2**0.5) < 1.1  # both cells at the same level: errors alone
    steps = instrument.steps.clone()
    steps[:, :, ::2] = 14
    instrument.program(steps)
    instrument.program(torch.full_like(steps, 15))
    after = instrument.measure(light)
    assert torch.equal(after[:, 1::2], before[:, 1::2])
    assert 1.9 < float((after - before)[:, ::2].var()) / 2e-4 < 2.1


def test_noise_of_reading_is_that_of_all_cells_in_the_light() -> None:
    instrument, _ = crossbar(ELIGHT.replace(read_noise_std=0.01), readout_std=0.02)
    inputs = torch.full((16, 4000), 0.5)
    noise = instrument.measure(inputs)
    assert 0.97 < float(noise.var()) / (2 * 16 * 0.25 * 1e-4 + 4e-4) < 1.03


def test_what_no_hardware_does_is_refused() -> None:
    instrument, _ = crossbar(ELIGHT)
    good = torch.zeros(2, 2, 16, 16, dtype=torch.int8)
    with pytest.raises(TypeError, match="int8"):
        instrument.program(good.int())
    with pytest.raises(ValueError, match="shape"):
        instrument.program(good[0])
    for step in (-1, 16):
        with pytest.raises(ValueError, match="from 0 to 15"):
            instrument.program(good + step)
    for inputs in (-torch.ones(16, 1), 2 * torch.ones(16, 1), torch.full((16, 1), torch.nan)):
        with pytest.raises(ValueError, match="share of the light"):
            instrument.measure(inputs)
    with pytest.raises(ValueError, match="inputs have the shape"):
        instrument.measure(torch.ones(15, 1))
    with pytest.raises(ValueError, match="at least 0"):
        SimulatedCrossbar(ELIGHT, PERFECT, 2, readout_std=-1)
    with pytest.raises(ValueError, match="`stuck` has the shape"):
        SimulatedCrossbar(ELIGHT, PCMErrors(None, good), 3)


# the survey


@pytest.mark.parametrize("size", [1, 2, 3, 16, 21, 64])
def test_patterns_of_light_can_be_told_apart(size: int) -> None:
    light = patterns(size)
    assert set(light.unique().tolist()) <= {0.0, 1.0}
    noise = torch.linalg.inv(light).square().sum(0)
    assert float(noise.max()) <= 2.01  # never much worse than one slot at a time
    if size == 64:
        assert float(noise.max()) <= 6 / 64


@pytest.mark.parametrize("readout_std", [0.0, 0.001, 0.01])
@pytest.mark.parametrize("absorption_std", [0.0, 0.08])
def test_every_stuck_cell_is_found_and_no_other(readout_std: float, absorption_std: float) -> None:
    chip = ELIGHT.replace(stuck_fraction=0.05, absorption_std=absorption_std)
    instrument, hidden = crossbar(chip, 8, readout_std)
    assert hidden.stuck is not None
    assert set(hidden.stuck[hidden.stuck >= 0].tolist()) == set(range(16))  # those that the survey asks for as well
    found = survey(instrument)
    assert torch.equal(found.stuck >= 0, hidden.stuck >= 0)
    steps = torch.randint(0, 16, instrument.cells, dtype=torch.int8)
    wanted, known = (transmission(errors, steps) for errors in (hidden, found))
    # of a pair with both stuck, only the difference can be known
    missed = (known - wanted)[:, 0] - (known - wanted)[:, 1]
    assert float(missed.square().mean().sqrt()) < 1e-6 + 0.6 * readout_std
    assert found.readout == pytest.approx(readout_std, rel=0.1)
    assert found.suspects == ()


def test_it_takes_few_calls_and_one_sweep_of_each_cell() -> None:
    instrument, _ = crossbar(ELIGHT.replace(absorption_std=0.05))
    found = survey(instrument)
    assert found.calls == instrument.calls == 5
    assert found.writes.unique().tolist() == [15]
    noisy, _ = crossbar(ELIGHT.replace(absorption_std=0.05), readout_std=0.02)
    assert 5 < survey(noisy, budget=60).calls <= 60


def test_the_stated_accuracy_is_the_true_one() -> None:
    instrument, hidden = crossbar(ELIGHT.replace(absorption_std=0.1), 8, 0.01)
    found = survey(instrument)
    assert hidden.absorption is not None
    rms = float((found.absorption - hidden.absorption).square().mean().sqrt())
    assert found.absorption_std < 0.01
    assert rms == pytest.approx(found.absorption_std, rel=0.15)


def test_where_cells_are_alike_noise_is_not_taken_for_a_difference() -> None:
    instrument, _ = crossbar(ELIGHT, 8, 0.01)
    found = survey(instrument)
    assert float((found.absorption - 1).abs().mean()) < 0.3 * found.absorption_std


@pytest.mark.parametrize("absorption", [0.3, 2.5])
def test_a_cell_that_absorbs_oddly_is_not_called_stuck(absorption: float) -> None:
    odd = torch.ones(2, 2, 16, 16)
    odd[1, 0, 2, 3] = absorption
    instrument = SimulatedCrossbar(ELIGHT, PCMErrors(odd, None), 2, readout_std=0.005)
    found = survey(instrument)
    assert bool((found.stuck < 0).all())
    assert float(found.absorption[1, 0, 2, 3]) == pytest.approx(absorption, rel=0.1)


def test_a_cell_that_switches_only_in_part_is_a_suspect() -> None:
    class Lazy(SimulatedCrossbar):
        def _follow(self, steps: Tensor) -> Tensor:
            steps = steps.clone()
            steps[1, 1, 7, 2].clamp_(max=5)
            return steps

    (suspect,) = survey(Lazy(ELIGHT, PERFECT, 2, readout_std=0.002)).suspects
    assert suspect[:3] == (1, 7, 2)


@pytest.mark.parametrize(
    "chip",
    [
        ELIGHT.replace(levels=2, base=0.2, block_size=7),
        ELIGHT.replace(levels=64, base=0.97),
        ELIGHT.replace(levels=4, transmissions=(0.9, 0.6, 0.3, 0.05)),
    ],
    ids=["2 levels", "64 levels", "measured levels"],
)
def test_other_devices(chip: PCMChip) -> None:
    instrument, hidden = crossbar(chip.replace(stuck_fraction=0.05, absorption_std=0.02), 4, 0.001)
    found = survey(instrument)
    assert hidden.stuck is not None and hidden.absorption is not None
    assert torch.equal(found.stuck >= 0, hidden.stuck >= 0)
    switching = hidden.stuck < 0
    assert float((found.absorption - hidden.absorption)[switching].abs().max()) < 0.03


def test_a_receiver_that_cannot_tell_says_so() -> None:
    with pytest.raises(WorkError, match="budget is 256"):
        survey(crossbar(ELIGHT, readout_std=1.0)[0])
    with pytest.raises(RequestError, match="accuracy is above 0"):
        survey(crossbar(ELIGHT)[0], budget=4)


def test_readings_that_are_not_finite_stop_it() -> None:
    class Broken(SimulatedCrossbar):
        def _read(self, inputs: Tensor) -> Tensor:
            return torch.full((2, 16, 16), torch.nan)

    with pytest.raises(WorkError, match="not finite"):
        survey(Broken(ELIGHT, PERFECT, 2))


def test_a_survey_is_kept_on_disk(tmp_path: Path) -> None:
    found = survey(crossbar(ELIGHT.replace(stuck_fraction=0.1), readout_std=0.01)[0])
    found.save(tmp_path / "survey.safetensors")
    read = Surveyed.load(tmp_path / "survey.safetensors")
    for name in ("absorption", "stuck", "writes"):
        assert torch.equal(getattr(read, name), getattr(found, name))
    assert (read.absorption_std, read.readout, read.calls) == (found.absorption_std, found.readout, found.calls)
    (tmp_path / "other").write_bytes(b"something else")
    for name in ("other", "absent"):
        with pytest.raises(RequestError, match="no survey"):
            Surveyed.load(tmp_path / name)
