import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lightloom.bench.mesh.calibrate import calibrate, identity_error, true_twin
from lightloom.chips import MeshChip, preset
from lightloom.common.errors import RequestError, WorkError
from lightloom.lab.mesh.identify import (
    Measurements,
    identify,
    load_identified,
    recalibrate,
    save_identified,
    settings_for_identity,
)
from lightloom.lab.mesh.in_situ_mapping import map_targets
from lightloom.lab.mesh.instrument import BlockSettings, Instrument, SimulatedInstrument, specimen_instrument
from lightloom.lab.mesh.twin import DigitalTwin


def published(size: int = 5) -> MeshChip:
    return preset("l2ight").replace(block_size=size)


def identity_errors(true: DigitalTwin, twin: DigitalTwin) -> tuple[Tensor, Tensor]:
    u, v = true.meshes(settings_for_identity(twin))
    return identity_error(u), identity_error(v)


@pytest.mark.parametrize(("readout_std", "calls", "error"), [(0.0, 25, 5e-5), (0.001, 29, 5e-5), (0.01, 49, 2e-4)])
def test_the_published_chip_is_calibrated(readout_std: float, calls: int, error: float) -> None:
    """The aims are 32, 100 and 256 calls and 0.001 to 0.002; search ends near 0.013 after 57,600."""
    figures = calibrate(seed=3, blocks=6, readout_std=readout_std, search_epochs=2)
    assert figures["calls"] <= calls
    assert max(figures["mse_u_max"], figures["mse_v_max"]) < error


def test_it_works_through_any_instrument(on_bench: Callable[[Instrument], Instrument]) -> None:
    chip = published(4)
    found = identify(on_bench(specimen_instrument(chip, 3, specimen=8)))
    for error in identity_errors(true_twin(chip, 3, 8), found.twin):
        assert error.max() < 1e-4


@pytest.mark.parametrize(
    "chip",
    [
        published(5).replace(layout="triangle"),
        published(4).replace(dac="voltage"),
        published(4).replace(weight_bits=None),
        published(5).replace(insertion_loss_db=0.2),
        published(4).replace(crosstalk=0.0, gamma_std=0.0),
        published(2),
    ],
    ids=["triangle", "voltage", "exact drive", "loss", "bias alone", "two waveguides"],
)
def test_chips_of_other_kinds(chip: MeshChip) -> None:
    found = identify(specimen_instrument(chip, 4, specimen=1), seed=2)
    true = true_twin(chip, 4, 1)
    angle = torch.rand(4, chip.block_size, dtype=torch.float64).acos()
    settings = BlockSettings(*(5 * torch.rand_like(true.u_bias) for _ in range(2)), angle.cos())
    torch.testing.assert_close(found.twin.matrices(settings), true.matrices(settings), rtol=0, atol=1e-4)


def test_uncertainties_are_those_of_the_errors() -> None:
    chip = published(5)
    found = identify(specimen_instrument(chip, 24, specimen=2, readout_std=0.005), accuracy=0.004)
    true = true_twin(chip, 24, 2)
    for name in ("u_gamma", "v_gamma", "sigma_gamma", "coupling"):
        score = (getattr(found.twin, name) - getattr(true, name)) / getattr(found.std, name)
        assert 0.75 < score.square().mean().sqrt() < 1.3, name
    assert found.noise == pytest.approx(0.005, rel=0.1)
    assert found.chi2.mean() == pytest.approx(1, abs=0.1)
    assert not found.suspects


def test_more_noise_takes_more_calls_up_to_the_budget() -> None:
    chip = published(4)
    quiet, loud = (identify(specimen_instrument(chip, 3, readout_std=std)).calls for std in (0.001, 0.02))
    assert quiet < loud
    assert identify(specimen_instrument(chip, 3, readout_std=0.02), budget=20).calls == 20


class Failing(SimulatedInstrument):
    """Breaks off at one call."""

    fails_at = 13

    def matrices(self) -> Tensor:
        if self.calls == self.fails_at:
            self.fails_at = -1
            raise WorkError("the cable fell out")
        return super().matrices()


def failing(chip: MeshChip, blocks: int) -> Failing:
    whole = specimen_instrument(chip, blocks, specimen=3)
    return Failing(chip, whole._errors, blocks)


def test_a_session_that_broke_off_goes_on_without_losing_a_call(tmp_path: Path) -> None:
    chip, measurements = published(4), Measurements()
    instrument = failing(chip, 2)
    with pytest.raises(WorkError, match="cable"):
        identify(instrument, measurements=measurements)
    assert len(measurements) == 13
    measurements.save(tmp_path / "measurements.safetensors")
    resumed = identify(instrument, measurements=Measurements.load(tmp_path / "measurements.safetensors"))
    whole = identify(specimen_instrument(chip, 2, specimen=3))
    assert instrument.calls == whole.calls == resumed.calls
    torch.testing.assert_close(resumed.twin.u_bias, whole.twin.u_bias)


def test_records_of_another_session_are_refused() -> None:
    known = identify(specimen_instrument(published(4), 2), seed=0)
    with pytest.raises(RequestError, match="another chip design or seed"):
        identify(specimen_instrument(published(4), 2), seed=1, measurements=known.measurements)


def test_a_file_without_measurements_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no measurements"):
        Measurements.load(tmp_path / "missing")
    (tmp_path / "other").write_bytes(b"other")
    with pytest.raises(RequestError, match="no measurements"):
        Measurements.load(tmp_path / "other")


def test_readings_that_are_not_numbers_are_refused() -> None:
    class Broken(SimulatedInstrument):
        def matrices(self) -> Tensor:
            return super().matrices() * math.nan

    chip, measurements = published(4), Measurements()
    whole = specimen_instrument(chip, 2)
    with pytest.raises(WorkError, match="NaN or Inf"):
        identify(Broken(chip, whole._errors, 2), measurements=measurements)
    assert len(measurements) == 0


@pytest.mark.parametrize("chip", [published(4).replace(field="complex"), published(4).replace(layout="butterfly")])
def test_what_cannot_be_identified_is_refused(chip: MeshChip) -> None:
    with pytest.raises(RequestError, match="universal layout"):
        identify(specimen_instrument(chip, 1))


def test_a_budget_below_the_start_is_refused() -> None:
    with pytest.raises(RequestError, match="budget=15"):
        identify(specimen_instrument(published(4), 1), budget=14)


def test_an_instrument_of_another_design_is_not_believed() -> None:
    class Random(SimulatedInstrument):
        def matrices(self) -> Tensor:
            return torch.randn(super().matrices().shape, dtype=torch.float64)

    whole = specimen_instrument(published(4), 3)
    with pytest.raises(WorkError, match="fit no chip"):
        identify(Random(published(4), whole._errors, 3))


@pytest.mark.parametrize("readout_std", [0.0, 0.001, 0.01])
def test_dead_and_weak_heaters_are_found_and_worked_around(readout_std: float) -> None:
    chip = published(9)
    errors = specimen_instrument(chip, 4, specimen=5)._errors
    assert errors.u_gamma is not None and errors.v_gamma is not None
    errors.u_gamma[0, 14], errors.v_gamma[1, 3], errors.u_gamma[2, 0] = 0.0, 0.0, 0.6
    instrument = SimulatedInstrument(chip, errors, 4, readout_std=readout_std)
    found = identify(instrument)
    named = {(suspect.block, suspect.mesh, suspect.shifter): suspect.gamma for suspect in found.suspects}
    assert named == pytest.approx({(0, "u", 14): 0.0, (1, "v", 3): 0.0, (2, "u", 0): 0.6}, abs=0.01)
    true = replace(true_twin(chip, 4, 5), u_gamma=errors.u_gamma, v_gamma=errors.v_gamma)
    for error in identity_errors(true, found.twin):
        assert error.max() < 1e-4


def test_drift_is_found_again_from_a_handful_of_calls() -> None:
    chip = published(5)
    first = specimen_instrument(chip, 4, specimen=6, readout_std=0.002)
    known = identify(first)
    errors = first._errors
    assert errors.u_bias is not None and errors.v_bias is not None
    drifted = errors._replace(
        u_bias=errors.u_bias + 0.1 * torch.randn_like(errors.u_bias),
        v_bias=errors.v_bias + 0.1 * torch.randn_like(errors.v_bias),
    )
    later = SimulatedInstrument(chip, drifted, 4, readout_std=0.002)
    assert drifted.u_bias is not None and drifted.v_bias is not None
    true = replace(true_twin(chip, 4, 6), u_bias=drifted.u_bias, v_bias=drifted.v_bias)
    before = max(float(error.mean()) for error in identity_errors(true, known.twin))
    found = recalibrate(later, known)
    assert later.calls == 6
    after = max(float(error.mean()) for error in identity_errors(true, found.twin))
    assert before > 2e-3 and after < 2e-4


def test_a_known_chip_is_kept_whole_and_something_else_is_refused(tmp_path: Path) -> None:
    chip = published(4)
    known = identify(specimen_instrument(chip, 3, specimen=1, readout_std=0.001))
    path = tmp_path / "twin.safetensors"
    save_identified(known, path)
    again = load_identified(path, chip)
    for name in ("calls", "readout", "noise", "suspects"):
        assert getattr(again, name) == getattr(known, name)
    for name in ("u_bias", "v_gamma", "sigma_gamma", "coupling"):
        assert torch.equal(getattr(again.twin, name), getattr(known.twin, name))
        assert torch.equal(getattr(again.std, name), getattr(known.std, name))
    targets = torch.randn(3, 4, 4, dtype=torch.float64)
    first, second = (map_targets(specimen_instrument(chip, 3, specimen=1), kept, targets) for kept in (known, again))
    assert torch.equal(first.settings.u_phases, second.settings.u_phases)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RequestError, match="no known chip"):
        load_identified(path, chip)


@pytest.mark.parametrize("stop", [0, 1, 4, 9, 13])
def test_a_session_that_was_stopped_ends_as_one_that_was_not(stop: int, tmp_path: Path) -> None:
    class Interrupted(SimulatedInstrument):
        def matrices(self) -> torch.Tensor:
            if self.calls == stop:
                raise KeyboardInterrupt
            return super().matrices()

    chip = published(4)

    def instrument(kind: type[SimulatedInstrument]) -> SimulatedInstrument:
        made = specimen_instrument(chip, 2, readout_std=0.003, seed=4)
        return kind(chip, made._errors, 2, readout_std=0.003, seed=4)

    measurements = Measurements()
    with pytest.raises(KeyboardInterrupt):
        identify(instrument(Interrupted), accuracy=0.02, seed=1, measurements=measurements)
    assert len(measurements) == stop
    if stop:
        measurements.save(tmp_path / "measurements.safetensors")
        measurements = Measurements.load(tmp_path / "measurements.safetensors")
    resumed = identify(instrument(SimulatedInstrument), accuracy=0.02, seed=1, measurements=measurements)
    whole = identify(instrument(SimulatedInstrument), accuracy=0.02, seed=1)
    assert resumed.calls == whole.calls
    assert all(torch.equal(a, b) for a, b in zip(resumed.measurements.outputs, whole.measurements.outputs, strict=True))
    assert torch.equal(resumed.twin.u_gamma, whole.twin.u_gamma) and torch.equal(resumed.chi2, whole.chi2)
