"""An instrument that answers nonsense, or is of another kind than its design: refused or said, never claimed."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightloom.bench.mesh.calibrate import identity_error, true_twin
from lightloom.chips import MeshChip, PCMChip, PCMErrors, preset
from lightloom.common.errors import WorkError
from lightloom.lab.crossbar import SimulatedCrossbar, Surveyed, survey
from lightloom.lab.mesh.calibration import identity_calibration
from lightloom.lab.mesh.calibration import published_plan as calibration_plan
from lightloom.lab.mesh.identify import (
    Identified,
    Measurements,
    identify,
    load_identified,
    recalibrate,
    refine,
    save_identified,
    settings_for_identity,
)
from lightloom.lab.mesh.in_situ_mapping import map_targets
from lightloom.lab.mesh.instrument import BlockSettings, SimulatedInstrument, specimen_instrument
from lightloom.lab.mesh.mapping import measured_meshes, parallel_mapping, published_plan
from lightloom.lab.mesh.readings import check_light

Fault = Callable[[Tensor], Any]


def published(size: int = 4) -> MeshChip:
    return preset("l2ight").replace(block_size=size)


class Faulty(SimulatedInstrument):
    """A specimen whose readings pass through a fault from some call on."""

    fault: Fault
    begins = 0

    def matrices(self) -> Tensor:
        outputs = super().matrices()
        changed: Tensor = self.fault(outputs) if self.calls > self.begins else outputs
        return changed


def faulty(fault: Fault, *, readout_std: float = 0.0, begins: int = 0, chip: MeshChip | None = None) -> Faulty:
    chip = published() if chip is None else chip
    instrument = Faulty(chip, specimen_instrument(chip, 3, specimen=1)._errors, 3, readout_std=readout_std)
    instrument.fault, instrument.begins = fault, begins
    return instrument


def some_settings(sigma: float = 1.0) -> BlockSettings:
    phases = torch.linspace(0, 6, 18, dtype=torch.float64).view(3, 6)
    return BlockSettings(phases, phases.flip(0), torch.full((3, 4), sigma, dtype=torch.float64))


REFUSED: dict[str, tuple[Fault, str]] = {
    "NaN": (lambda m: m * math.nan, "48 of 48 outputs are NaN or Inf"),
    "one Inf": (lambda m: m.index_fill(0, torch.tensor(1), math.inf), "16 of 48 outputs are NaN or Inf"),
    "one block": (lambda m: m[:1], r"shape \(1, 4, 4\); expected \(3, 4, 4\)"),
    "a row short": (lambda m: m[:, :3], r"shape \(3, 3, 4\)"),
    "flat": (lambda m: m.flatten(), r"shape \(48,\)"),
    "a scalar": (lambda m: m.sum(), r"shape \(\)"),
    "integers": (lambda m: (100 * m).long(), "int64"),
    "booleans": (lambda m: m > 0, "bool"),
    "complex": (lambda m: m.to(torch.complex128), "complex128"),
    "an array": (lambda m: m.numpy(), "ndarray"),
    "nothing": (lambda m: None, "NoneType"),
    "zeros": (lambda m: m * 0, r"Hardly any light arrives from 3 of 3 blocks \(0, 1, 2\)"),
    "one dark block": (lambda m: m * torch.tensor([1.0, 0, 1]).view(3, 1, 1), r"from 1 of 3 blocks \(1\)"),
}
DURING: dict[str, Callable[[Faulty], object]] = {
    "identify": identify,
    "search": lambda chip: identity_calibration(chip, calibration_plan(chip.chip, epochs=1)),
    "map by search": lambda chip: parallel_mapping(
        chip, torch.eye(4).expand(3, 4, 4).double(), published_plan(chip.chip, epochs=0)
    ),
    "look at meshes": lambda chip: measured_meshes(chip, some_settings()),
}


@pytest.mark.parametrize("task", DURING)
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_measurement_is_refused(task: str, name: str) -> None:
    fault, text = REFUSED[name]
    with pytest.raises(WorkError, match=text):
        DURING[task](faulty(fault))


@pytest.fixture(scope="module")
def known() -> Identified:
    return identify(specimen_instrument(published(), 3, specimen=1))


@pytest.mark.parametrize("name", REFUSED)
def test_also_later_and_on_a_chip_that_is_known(known: Identified, name: str) -> None:
    fault, text = REFUSED[name]
    for task in (
        lambda chip: refine(chip, known, some_settings()),
        lambda chip: recalibrate(chip, known),
        lambda chip: map_targets(chip, known, torch.eye(4).expand(3, 4, 4).double()),
    ):
        with pytest.raises(WorkError, match=text):
            task(faulty(fault))


@pytest.mark.parametrize("loss_db", [0.0, 2.0])
def test_loss_of_the_design_and_closed_attenuators_are_no_darkness(loss_db: float) -> None:
    chip = published(8).replace(insertion_loss_db=loss_db)
    instrument = specimen_instrument(chip, 2)
    phases = torch.zeros(2, instrument.shifters, dtype=torch.float64)
    for sigma in (1.0, 0.1, 0.0):
        asked = torch.full((2, 8), sigma, dtype=torch.float64)
        instrument.program(BlockSettings(phases, phases, asked))
        check_light(chip, instrument.matrices(), asked)
    with pytest.raises(WorkError, match="Hardly any light"):
        check_light(chip, 0.05 * instrument.matrices(), torch.ones(2, 8).double())


def test_single_precision_is_taken() -> None:
    known = identify(faulty(lambda m: m.float()))
    assert known.caveat is None and known.twin.u_bias.dtype == torch.float64


NONSENSE: dict[str, Fault] = {
    "constant": lambda m: torch.full_like(m, 0.3),
    "an identity": lambda m: torch.eye(4, dtype=torch.float64).expand(3, 4, 4).clone(),
    "saturates at half": lambda m: m.clamp(-0.5, 0.5),
    "saturates": lambda m: m.clamp(-0.7, 0.7),
    "without sign": torch.abs,
    "half the scale": lambda m: m / 2,
    "an offset": lambda m: m + 0.05,
    "a dead detector": lambda m: m * torch.tensor([1.0, 1, 0, 1]).view(4, 1),
    "transposed": lambda m: m.mT,
}


@pytest.mark.parametrize("readout_std", [0.0, 0.01])
@pytest.mark.parametrize("name", NONSENSE)
def test_what_fits_no_chip_is_refused_or_said(name: str, readout_std: float) -> None:
    try:
        known = identify(faulty(NONSENSE[name], readout_std=readout_std), budget=20)
    except WorkError as error:
        assert "fit no chip of this design" in str(error)
    else:
        assert known.caveat is not None and "does not hold" in known.caveat
        assert not float(known.misfit.max()) < 2


def test_a_search_claims_what_it_measured_and_no_more() -> None:
    """Its loss is what the detectors show of the settings; one that saturates shows a loss that stays high."""
    whole = identity_calibration(
        specimen_instrument(published(), 3, specimen=1), calibration_plan(published(), epochs=12)
    )
    cut = identity_calibration(faulty(lambda m: m.clamp(-0.2, 0.2)), calibration_plan(published(), epochs=12))
    assert bool((cut.loss > whole.loss).all())


# a chip that is not as designed


class Uneven(SimulatedInstrument):
    """Couplers that split unevenly: an MZI turns by another angle than its phase, up to `spread`, each its own."""

    spread = 0.05

    def _meet(self) -> Tensor:
        if self._matrices is None:
            for number, hidden in enumerate((self._u, self._v)):
                assert hidden.state is not None
                realised, generator = hidden.state.realised, torch.Generator().manual_seed(number)
                share = torch.randn(realised.shape, generator=generator, dtype=torch.float64)
                hidden.state = hidden.state._replace(realised=realised + self.spread * share * (2 * realised).sin())
                hidden._matrix = None
        return super()._meet()


def uneven(spread: float, readout_std: float, blocks: int = 3) -> Uneven:
    chip = published()
    instrument = Uneven(chip, specimen_instrument(chip, blocks, specimen=1)._errors, blocks, readout_std=readout_std)
    instrument.spread = spread
    return instrument


@pytest.mark.parametrize("readout_std", [0.0, 0.001, 0.01])
def test_couplers_that_split_unevenly_are_said(readout_std: float, tmp_path: Path) -> None:
    known = identify(uneven(0.05, readout_std), budget=24)
    assert known.repeatability is not None
    assert known.repeatability.std == pytest.approx(readout_std, rel=0.3)
    assert known.caveat is not None and "The chip is not as designed: in 3 of 3 blocks" in known.caveat
    worst = max(
        float(identity_error(made).max())
        for made in true_twin(published(), 3, 1).meshes(settings_for_identity(known.twin))
    )
    assert worst > 1e-4  # of a chip as designed 1e-5: what would be claimed is not so
    save_identified(known, tmp_path / "twin.safetensors")
    again = load_identified(tmp_path / "twin.safetensors", published())
    assert (again.caveat, again.repeatability) == (known.caveat, known.repeatability)
    mapped = map_targets(uneven(0.05, readout_std), again, torch.randn(3, 4, 4).double())
    assert mapped.known.caveat is not None


@pytest.mark.parametrize("size", [2, 4, 9])
@pytest.mark.parametrize("readout_std", [0.0, 0.001, 0.02])
def test_a_chip_as_designed_is_not_accused(size: int, readout_std: float) -> None:
    for seed in range(1 if size == 9 else 4):
        chip = published(size)
        known = identify(specimen_instrument(chip, 2, specimen=seed, readout_std=readout_std, seed=seed), budget=48)
        assert known.caveat is None, known.misfit
        assert known.repeatability is not None and known.repeatability.freedom >= 2 * size**2
        assert recalibrate(specimen_instrument(chip, 2, specimen=seed, readout_std=readout_std), known).caveat is None


@pytest.mark.parametrize("drift", [0.002, 0.01])
def test_a_chip_that_drifts_while_it_is_measured_is_refused_or_said(drift: float) -> None:
    class Drifting(SimulatedInstrument):
        def _meet(self) -> Tensor:
            if self._matrices is None:
                for hidden in (self._u, self._v):
                    assert hidden.state is not None
                    realised = hidden.state.realised
                    ways = torch.linspace(-1, 1, realised.shape[1], dtype=torch.float64)
                    hidden.state = hidden.state._replace(realised=realised + drift * self.calls * ways)
                    hidden._matrix = None
            return super()._meet()

    whole = specimen_instrument(published(), 3)
    try:
        known = identify(Drifting(published(), whole._errors, 3, readout_std=0.001), budget=30)
    except WorkError as error:
        assert "fit no chip of this design" in str(error)
    else:
        assert known.caveat is not None


def test_noise_is_told_by_what_was_measured_twice() -> None:
    measurements = Measurements()
    instrument = specimen_instrument(published(), 3, readout_std=0.01)
    assert measurements.repeatability() is None
    for sigma in (1.0, 0.5, 1.0, 0.2):
        measurements.measure(instrument, some_settings(sigma))
    repeated = measurements.repeatability()
    assert repeated is not None and repeated.freedom == 3 * 16
    assert repeated.std == pytest.approx(0.01, rel=0.3)
    known = identify(specimen_instrument(published(), 3))
    unknown = replace(known, repeatability=None)
    assert unknown.caveat is None and bool(unknown.misfit.isnan().all())


def test_a_file_of_an_earlier_version_says_nothing_of_repetitions(tmp_path: Path) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    path = tmp_path / "twin.safetensors"
    save_identified(identify(specimen_instrument(published(), 2)), path)
    with safe_open(path, framework="pt") as opened:
        held = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118  # no mapping
        notes = {name: text for name, text in opened.metadata().items() if name != "repeatability"}
    save_file(held, path, metadata=notes)
    assert load_identified(path, published()).repeatability is None


# crossbars

ELIGHT = preset("elight", PCMChip).replace(block_size=8)


class FaultyCrossbar(SimulatedCrossbar):
    fault: Fault

    def _read(self, inputs: Tensor) -> Tensor:
        changed: Tensor = self.fault(super()._read(inputs))
        return changed


def faulty_crossbar(fault: Fault, readout_std: float = 0.0) -> FaultyCrossbar:
    hidden = ELIGHT.replace(absorption_std=0.03, stuck_fraction=0.02).specimen(4).pcm_errors("bench", 2)
    instrument = FaultyCrossbar(ELIGHT, hidden, 2, readout_std=readout_std, seed=1)
    instrument.fault = fault
    return instrument


CROSSBARS_REFUSED: dict[str, tuple[Fault, str]] = {
    "NaN": (lambda m: m * math.nan, "not finite"),
    "one array": (lambda m: m[:1], r"shape \(1, 8, 8\)"),
    "integers": (lambda m: m.long(), "int64"),
    "complex": (lambda m: m.to(torch.complex64), "complex64"),
    "an array of numpy": (lambda m: m.numpy(), "ndarray"),
    "zeros": (lambda m: m * 0, "No cell of 2 of 2 arrays"),
    "constant": (lambda m: torch.full_like(m, 0.4), "No cell of 2 of 2 arrays"),
    "one dark array": (lambda m: m * torch.tensor([1.0, 0]).view(2, 1, 1), r"No cell of 1 of 2 arrays \(1\)"),
}


@pytest.mark.parametrize("readout_std", [0.0, 0.002])
@pytest.mark.parametrize("name", CROSSBARS_REFUSED)
def test_what_is_no_measurement_of_a_crossbar_is_refused(name: str, readout_std: float) -> None:
    fault, text = CROSSBARS_REFUSED[name]
    with pytest.raises(WorkError, match=text):
        survey(faulty_crossbar(fault, readout_std))


@pytest.mark.parametrize("readout_std", [0.0, 0.002])
@pytest.mark.parametrize(
    "fault",
    [
        lambda m: m.clamp(-0.8, 0.8),
        lambda m: m.clamp(-1.5, 1.5),
        lambda m: m - 0.05 * m.abs() * m,
        lambda m: m.abs(),
    ],
    ids=["saturates", "saturates late", "bends", "without sign"],
)
def test_detectors_that_are_not_straight_are_said(fault: Fault, readout_std: float, tmp_path: Path) -> None:
    surveyed = survey(faulty_crossbar(fault, readout_std))
    assert surveyed.caveat is not None and "does not hold" in surveyed.caveat
    surveyed.save(tmp_path / "survey.safetensors")
    assert Surveyed.load(tmp_path / "survey.safetensors").caveat == surveyed.caveat


@pytest.mark.parametrize("size", [2, 8, 16])
@pytest.mark.parametrize("readout_std", [0.0, 0.002, 0.02])
@pytest.mark.parametrize("programming_std", [0.0, 0.01])
def test_cells_as_designed_are_not_accused(size: int, readout_std: float, programming_std: float) -> None:
    chip = ELIGHT.replace(block_size=size, absorption_std=0.05, stuck_fraction=0.02, programming_std=programming_std)
    for seed in range(3):
        hidden = chip.specimen(seed).pcm_errors("bench", 4)
        surveyed = survey(SimulatedCrossbar(chip, hidden, 4, readout_std=readout_std, seed=seed))
        assert surveyed.caveat is None, surveyed.misfit


def test_perfect_cells_are_not_accused() -> None:
    assert survey(SimulatedCrossbar(ELIGHT, PCMErrors(None, None), 1)).misfit < 1e-3


def test_claims_can_be_written_down() -> None:
    from lightloom.lab.claims import claim

    assert json.loads(json.dumps(claim("a", math.nan, None), allow_nan=False))["misfit"] is None
    assert claim("a", 7.0, "no")["claim_holds"] is False
