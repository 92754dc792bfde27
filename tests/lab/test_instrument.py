"""The simulated instrument, against the physics that it hides."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from lightloom.chips import MeshChip, preset
from lightloom.lab.mesh.instrument import BlockSettings, Instrument, SimulatedInstrument, specimen_instrument
from lightloom.physics import mesh, phases, rounding

CHIPS: dict[str, dict[str, Any]] = {
    "published": {},
    "triangle": {"layout": "triangle", "block_size": 4},
    "butterfly": {"layout": "butterfly", "block_size": 8},
    "complex": {"field": "complex", "block_size": 3},
    "voltage drive": {"dac": "voltage", "crosstalk": 0.02},
    "exact drive": {"weight_bits": None, "gamma_std": 0.0, "phase_bias": 0.0},
    "no crosstalk, lossy": {"crosstalk": 0.0, "insertion_loss_db": 0.2},
}


def chip_of(changes: dict[str, Any]) -> MeshChip:
    return preset("l2ight").replace(**({"block_size": 5} | changes))


def some_settings(instrument: Instrument) -> BlockSettings:
    wide = (instrument.blocks, instrument.shifters)
    u, v = (7 * torch.randn(wide, dtype=torch.float64) for _ in range(2))
    return BlockSettings(u, v, 2 * torch.rand(instrument.blocks, instrument.size, dtype=torch.float64) - 1)


def truth(instrument: SimulatedInstrument, settings: BlockSettings) -> Tensor:
    """U Sigma V from the hidden errors, by the public physics."""
    chip, errors = instrument.chip, instrument._errors
    made = []
    for commanded, gamma, bias in (
        (settings.u_phases, errors.u_gamma, errors.u_bias),
        (settings.v_phases, errors.v_gamma, errors.v_bias),
    ):
        drive = phases.Drive(
            bits=chip.weight_bits,
            dac=chip.dac,
            coupling=chip.crosstalk,
            neighbours=mesh.neighbours(chip.block_size, chip.layout, chip.field),
        )
        realised = phases.realise(commanded, drive, phases.Imperfections(gamma, bias))
        loss = chip.insertion_loss_db
        made.append(mesh.build(realised, chip.block_size, layout=chip.layout, field=chip.field, loss_db=loss))
    angle = rounding.quantise(settings.sigma.acos(), chip.weight_bits, span=torch.pi)
    sigma = torch.cos(angle if errors.sigma_gamma is None else angle * errors.sigma_gamma)
    return made[0] @ torch.diag_embed(sigma).to(made[0].dtype) @ made[1]


@pytest.mark.parametrize("changes", CHIPS.values(), ids=CHIPS)
def test_single_phases_do_what_programming_everything_does(changes: dict[str, Any]) -> None:
    instrument = specimen_instrument(chip_of(changes), 3, specimen=5)
    settings = some_settings(instrument)
    instrument.program(settings)
    torch.testing.assert_close(instrument.matrices(), truth(instrument, settings), rtol=0, atol=1e-12)
    for step in range(40):
        one, other = (int(torch.randint(instrument.shifters, ())) for _ in range(2))
        settings.u_phases[:, one] += torch.randn(3, dtype=torch.float64)
        settings.v_phases[:, other] -= 1.0
        if step % 3:
            instrument.reprogram(settings, [one], [other])
        else:
            instrument.reprogram(settings, u_changed=[one])
            instrument.reprogram(settings, v_changed=[other])
    torch.testing.assert_close(instrument.matrices(), truth(instrument, settings), rtol=0, atol=1e-12)
    assert instrument.calls == 2


def test_the_first_reprogramming_programs_everything() -> None:
    instrument = specimen_instrument(chip_of({}), 2)
    settings = some_settings(instrument)
    instrument.reprogram(settings, [0])
    torch.testing.assert_close(instrument.matrices(), truth(instrument, settings), rtol=0, atol=1e-12)


def test_what_was_read_cannot_change_what_is_there() -> None:
    instrument = specimen_instrument(chip_of({}), 2)
    instrument.program(some_settings(instrument))
    first = instrument.matrices()
    kept = first.clone()
    first.zero_()
    assert torch.equal(instrument.matrices(), kept)


def test_dynamic_noise_stays_when_single_phases_move() -> None:
    instrument = specimen_instrument(chip_of({"phase_noise_std": 0.05}), 50)
    settings = some_settings(instrument)
    instrument.program(settings)
    before = instrument.matrices()
    instrument.reprogram(settings, [0])
    assert 0.01 < (instrument.matrices() - before).std() < 0.5


def test_calls_count_wavelengths_and_noise_has_its_size() -> None:
    instrument = specimen_instrument(chip_of({}), 400, readout_std=0.03)
    settings = some_settings(instrument)
    instrument.program(settings)
    inputs = torch.randn(5, 11, dtype=torch.float64)
    noise = instrument.measure(inputs) - truth(instrument, settings) @ inputs
    assert instrument.calls == 3
    assert abs(noise.std().item() - 0.03) < 0.001
    noise = instrument.matrices() - truth(instrument, settings)
    assert instrument.calls == 4 and abs(noise.std().item() - 0.03) < 0.001


@pytest.mark.parametrize("field", ["real", "complex"])
@pytest.mark.parametrize("wobble", [0.0, 0.02])
def test_noise_goes_on_behind_the_measurements_of_another_session(field: str, wobble: float) -> None:
    chip = chip_of({"field": field, "block_size": 4, "phase_noise_std": wobble})
    whole, later = (specimen_instrument(chip, 3, readout_std=0.01, seed=5) for _ in range(2))
    settings = some_settings(whole)

    def look(instrument: Instrument) -> torch.Tensor:
        instrument.program(settings)
        return instrument.matrices()

    measured = [look(whole) for _ in range(5)]
    later.skip(3)
    torch.manual_seed(9)  # what else was drawn makes no difference
    for wanted in measured[3:]:
        assert torch.equal(look(later), wanted)
    assert later.calls == 2
    assert not any(torch.equal(a, b) for a, b in pairwise(measured))
