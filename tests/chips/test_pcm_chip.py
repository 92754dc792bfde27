"""Crossbars of phase-change cells refuse what they cannot be; their specimens repeat, differ, and age."""

import json
import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from lightloom import chips
from lightloom.chips.pcm import HEALTHY
from lightloom.common.config import Section
from lightloom.common.errors import RequestError

ELIGHT = chips.preset("elight", chips.PCMChip)
PCM = sorted(name for name, chip in chips.PRESETS.items() if isinstance(chip, chips.PCMChip))


class Holder(Section):
    """A description with a chip in it."""

    chip: chips.AnyChip


# what a chip is


def test_the_published_setting() -> None:
    assert (ELIGHT.block_size, ELIGHT.levels, ELIGHT.base, ELIGHT.input_bits) == (64, 16, 0.872, 4)
    assert (ELIGHT.write_model, ELIGHT.start, ELIGHT.sharing, ELIGHT.scope) == (
        "per_level",
        "erased",
        "row_private",
        "slot",
    )
    devices = ELIGHT.devices
    assert devices.amorphise_energy.value / devices.crystallise_energy.value == pytest.approx(9 / 40)
    assert (devices.amorphise_time.value, devices.crystallise_time.value) == (0.5e-6, 20e-6)
    # 0.5949 dB per step at 1.7 nJ/dB
    assert devices.crystallise_energy.value == pytest.approx(1.0113e-9, rel=1e-4)


@pytest.mark.parametrize("name", PCM)
def test_every_preset_has_a_table_units_and_no_hidden_default(name: str) -> None:
    chip = chips.preset(name, chips.PCMChip)
    table = chip.table()
    assert table.dtype == torch.float64
    assert len(table) == chip.levels
    assert (table.diff() < 0).all()
    units = {"energy": "J", "time": "s", "area": "m^2", "loss": "dB", "endurance": "1"}
    for field, constant in chip.devices:
        kind = field.rsplit("_", 1)[-1]
        if field in chips.PCMDevices.model_fields and kind in units and not field.startswith("modulator"):
            assert constant.unit == units[kind], field
        assert constant.value > 0 or field == "detector_sensitivity"
    assert chips.PCMChip.model_validate(json.loads(chip.model_dump_json())) == chip


@pytest.mark.parametrize("name", ["pcm-3bit", "pcm-5bit", "pcm-6bit"])
def test_widths_within_the_published_range_end_where_the_published_cell_ends(name: str) -> None:
    chip = chips.preset(name, chips.PCMChip)
    assert chip.table()[-1].item() == pytest.approx(0.872**15, rel=1e-12)
    # the energy from one end to the other is that of the 4-bit cell
    whole = chip.devices.crystallise_energy.value * (chip.levels - 1)
    assert whole == pytest.approx(ELIGHT.devices.crystallise_energy.value * 15)


def test_published_widths_keep_the_published_base() -> None:
    for name, levels in (("elight-3bit", 8), ("elight-5bit", 32), ("elight-6bit", 64)):
        chip = chips.preset(name, chips.PCMChip)
        assert (chip.levels, chip.base) == (levels, 0.872)


def test_measured_levels_are_the_table() -> None:
    chip = ELIGHT.replace(levels=3, transmissions=(0.9, 0.5, 0.2))
    assert chip.table().tolist() == [0.9, 0.5, 0.2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": 1}, "levels"),
        ({"levels": 65}, "levels"),
        ({"base": 0.0}, "base"),
        ({"base": 1.0}, "base"),
        ({"base": math.nan}, "base"),
        ({"block_size": 1}, "block_size"),
        ({"input_bits": 0}, "input_bits"),
        ({"write_model": "per_row"}, "write_model"),
        ({"start": "cold"}, "start"),
        ({"sharing": "private"}, "sharing"),
        ({"scope": "row"}, "scope"),
        ({"programming_std": -0.1}, "programming_std"),
        ({"read_noise_std": -0.1}, "read_noise_std"),
        ({"absorption_std": 0.5}, "absorption_std"),
        ({"stuck_fraction": 1.1}, "stuck_fraction"),
        ({"drift_nu": -1.0}, "drift_nu"),
        ({"drift_time": -1.0}, "drift_time"),
        ({"technology": "mesh"}, "technology"),
        ({"bace": 0.9}, "Did you mean `base`"),
        ({"transmissions": (0.9, 0.5)}, "2 transmissions for 16 levels.*`levels=2`"),
        ({"levels": 2, "transmissions": (0.5, 0.9)}, "must fall"),
        ({"levels": 2, "transmissions": (0.5, 0.5)}, "must fall"),
        ({"levels": 2, "transmissions": (1.1, 0.5)}, "transmissions"),
        ({"levels": 2, "transmissions": (0.5, 0.0)}, "transmissions"),
        ({"electronic_drift": True, "drift_nu": 0.1, "read_noise_std": 0.1}, "`read_noise_std` and `drift_nu` to 0"),
    ],
)
def test_impossible_chips_are_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        ELIGHT.replace(**changes)


def test_levels_too_fine_to_tell_apart_are_refused_with_a_base_that_works() -> None:
    with pytest.raises(RequestError, match=r"base 0.6 with 64 levels.*base 0\.9679") as refused:
        ELIGHT.replace(base=0.6, levels=64)
    assert "base 0.9679" in str(refused.value)
    assert ELIGHT.replace(base=0.9679, levels=64).table()[-1].item() == pytest.approx(0.872**15, rel=0.01)


def test_an_ideal_chip_has_no_imperfection_and_its_levels() -> None:
    chip = ELIGHT.replace(
        programming_std=0.1, read_noise_std=0.1, absorption_std=0.1, stuck_fraction=0.1, drift_nu=0.1, drift_time=1e6
    )
    ideal = chip.ideal()
    errors = ideal.specimen(0).pcm_errors("a", 1)
    assert errors.absorption is errors.stuck is None
    assert (ideal.programming_std, ideal.read_noise_std, ideal.drift_nu, ideal.input_bits) == (0, 0, 0, None)
    assert torch.equal(ideal.table(), chip.table())


def test_chips_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        ELIGHT.base = 0.9  # type: ignore[misc]


# any chip


def test_a_field_takes_either_chip_and_old_ones_without_a_technology() -> None:
    for name in ("l2ight", "elight"):
        chip = chips.preset(name)
        held = Holder(chip=chip)
        assert held.chip is chip
        assert Holder.model_validate(json.loads(held.model_dump_json())).chip == chip
    old = chips.preset("l2ight").model_dump()
    del old["technology"]
    assert Holder(chip=old).chip == chips.preset("l2ight")


@pytest.mark.parametrize(
    ("chip", "message"),
    [
        (ELIGHT.model_dump() | {"base": 2.0}, r"^holder.chip.base: Input should be less than 1, got 2.0$"),
        (ELIGHT.model_dump() | {"bace": 2.0}, "^holder.chip: unknown key `bace`. Did you mean `base`?"),
        ({"technology": "pmc"}, "^holder.chip.technology: there is no technology `pmc`. Did you mean `pcm`?"),
        ({"technology": None}, "there is no technology `None`. Known: `mesh`, `pcm`."),
        (7, "^holder.chip: a chip is the name of a preset, or a group of fields, got 7$"),
    ],
)
def test_a_refusal_speaks_of_one_chip(chip: Any, message: str) -> None:
    with pytest.raises(RequestError, match=message) as refused:
        Holder.parse({"chip": chip}, "holder")
    assert len(str(refused.value).splitlines()) == 1


def test_a_preset_of_the_wrong_technology_is_refused_and_the_right_ones_are_named() -> None:
    assert chips.preset("l2ight", chips.MeshChip).technology == "mesh"
    with pytest.raises(RequestError, match=r"`elight` is a pcm chip, which this does not take. Known: `l2ight`"):
        chips.preset("elight", chips.MeshChip)
    with pytest.raises(RequestError, match=r"There is no chip `elihgt`. Did you mean `elight`"):
        chips.preset("elihgt")


# specimens


FAULTY = ELIGHT.replace(block_size=8, absorption_std=0.05, stuck_fraction=0.1)


def test_a_specimen_repeats_and_differs_by_seed_core_and_cell() -> None:
    first, again = (FAULTY.specimen(3).pcm_errors("conv1", 4) for _ in range(2))
    assert torch.equal(first.absorption, again.absorption)
    assert torch.equal(first.stuck, again.stuck)
    for other in (FAULTY.specimen(4).pcm_errors("conv1", 4), FAULTY.specimen(3).pcm_errors("conv2", 4)):
        pair = torch.stack([first.absorption.flatten(), other.absorption.flatten()])
        assert torch.corrcoef(pair)[0, 1].abs() < 0.2
        assert not torch.equal(first.stuck, other.stuck)


def test_errors_have_the_described_distributions() -> None:
    errors = FAULTY.replace(block_size=64).specimen(0).pcm_errors("big", 20)
    assert errors.absorption.shape == errors.stuck.shape == (20, 2, 64, 64)
    assert errors.absorption.mean().item() == pytest.approx(1, abs=1e-3)
    assert errors.absorption.std().item() == pytest.approx(0.8796 * 0.05, rel=0.01)  # cut at two deviations
    assert (errors.absorption - 1).abs().max() <= 0.1 + 1e-6
    stuck = errors.stuck[errors.stuck != HEALTHY]
    assert errors.stuck.dtype == torch.int8
    assert stuck.numel() / errors.stuck.numel() == pytest.approx(0.1, rel=0.05)
    shares = torch.bincount(stuck.long(), minlength=16) / stuck.numel()
    assert shares.tolist() == pytest.approx([1 / 16] * 16, rel=0.12)


def test_an_imperfection_that_is_off_draws_nothing() -> None:
    assert ELIGHT.specimen(0).pcm_errors("a", 1) == (None, None)


def test_a_specimen_has_the_errors_of_its_own_technology_alone() -> None:
    assert not hasattr(ELIGHT.specimen(0), "mesh_errors")
    assert not hasattr(chips.preset("l2ight").specimen(0), "pcm_errors")


# age


def test_without_spread_a_cell_dies_when_its_endurance_is_spent() -> None:
    specimen = ELIGHT.replace(block_size=2).specimen(1)
    endurance = ELIGHT.devices.endurance.value
    wear = {"a": torch.tensor([0.0, 1, 2, 4, 0, 1, 2, 4]).view(1, 2, 2, 2)}
    young = specimen.aged(wear, endurance / 4 - 1, endurance_spread=0.0)
    assert (young.dead, young.first_failure) == (0, endurance / 4)
    assert (young.specimen.pcm_errors("a", 1).stuck == HEALTHY).all()
    old = specimen.aged(wear, endurance / 2, endurance_spread=0.0)
    stuck = old.specimen.pcm_errors("a", 1).stuck
    assert old.dead == 4
    assert torch.equal(stuck != HEALTHY, wear["a"] >= 2)
    assert stuck.max() < ELIGHT.levels
    # the new chip and its other cores are as they were
    assert specimen.pcm_errors("a", 1).stuck is None
    assert old.specimen.pcm_errors("b", 1).stuck is None


def test_age_adds_up_and_dead_cells_die_once() -> None:
    specimen = ELIGHT.replace(block_size=8).specimen(2)
    wear = {"a": torch.rand(3, 2, 8, 8) * 50, "b": torch.rand(1, 2, 8, 8) * 50}
    at_once = specimen.aged(wear, 20_000)
    half = specimen.aged(wear, 10_000)
    rest = half.specimen.aged(wear, 10_000)
    assert 0 < half.dead < at_once.dead
    assert half.dead + rest.dead == at_once.dead
    assert half.first_failure == at_once.first_failure
    assert 0 < rest.first_failure <= 10_000
    for core, arrays in (("a", 3), ("b", 1)):
        once, twice = (aged.specimen.pcm_errors(core, arrays).stuck for aged in (at_once, rest))
        assert torch.equal(once, twice)


def test_endurance_is_lognormal_around_the_constant() -> None:
    specimen = ELIGHT.specimen(0)
    wear = {"a": torch.ones(4, 2, 64, 64)}
    cells = wear["a"].numel()
    endurance = ELIGHT.devices.endurance.value
    half = specimen.aged(wear, endurance, endurance_spread=0.5)
    assert half.dead / cells == pytest.approx(0.5, abs=0.01)
    below = specimen.aged(wear, endurance * math.exp(-0.5), endurance_spread=0.5)  # one deviation
    assert below.dead / cells == pytest.approx(0.1587, abs=0.01)
    assert below.first_failure == half.first_failure < endurance * math.exp(-0.5 * 3)


def test_cells_that_never_switched_do_not_die_and_keep_their_level() -> None:
    chip = FAULTY.replace(stuck_fraction=0.5)
    before = chip.specimen(0).pcm_errors("a", 2).stuck
    aged = chip.specimen(0).aged({"a": torch.ones(2, 2, 8, 8)}, 1e12)
    after = aged.specimen.pcm_errors("a", 2).stuck
    assert aged.dead == int((before == HEALTHY).sum())
    assert torch.equal(after[before != HEALTHY], before[before != HEALTHY])
    assert (after != HEALTHY).all()


def test_a_core_that_is_never_written_never_fails() -> None:
    aged = ELIGHT.specimen(0).aged({"a": torch.zeros(1, 2, 64, 64)}, 1e30)
    assert (aged.dead, aged.first_failure) == (0, math.inf)


@pytest.mark.parametrize(
    "wear", [torch.ones(1, 2, 3, 3), torch.ones(2, 2, 8), torch.tensor(1.0), torch.full((1, 2, 8, 8), -1.0)]
)
def test_wear_of_another_shape_or_below_zero_is_refused(wear: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="wear of core `a`: expected"):
        FAULTY.specimen(0).aged({"a": wear}, 10)


def test_an_aged_core_cannot_change_its_size() -> None:
    aged = FAULTY.specimen(0).aged({"a": torch.ones(2, 2, 8, 8)}, 10).specimen
    with pytest.raises(ValueError, match="core `a` has aged with 2 arrays, got 3"):
        aged.pcm_errors("a", 3)
