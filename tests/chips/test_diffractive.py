"""Diffractive chips refuse what they cannot be; presets are what their sources give; misalignment is a chip's own."""

import json
import math
from typing import Any

import pytest
import torch

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.physics import diffraction

PHOENIX = chips.diffractive("phoenix")


@pytest.mark.parametrize(
    ("name", "grid", "mask", "layers"),
    [
        ("phoenix-stage0", 400, 300, 4),
        ("phoenix-stage1", 400, 200, 4),
        ("phoenix-stage2", 200, 100, 2),
        ("phoenix", 80, 40, 2),
        ("phoenix-vit", 128, 64, 2),
    ],
)
def test_the_published_sizes(name: str, grid: int, mask: int, layers: int) -> None:
    chip = chips.diffractive(name)
    assert (chip.grid, chip.mask, chip.layers) == (grid, mask, layers)
    assert (chip.wavelength, chip.pixel, chip.distance_in, chip.distance) == (1.05e-6, 1.75e-6, 1e-4, 1e-4)
    assert chip.detector == "intensity"


@pytest.mark.parametrize("name", chips.DIFFRACTIVE)
def test_every_preset_carries_its_name_is_well_sampled_and_survives_a_file(name: str) -> None:
    chip = chips.diffractive(name)
    assert chip.name == name
    assert chip.technology == "diffractive"
    assert chips.DiffractiveChip.model_validate(json.loads(chip.model_dump_json())) == chip
    assert max(chip.distance_in, chip.distance) < chip.critical_distance


@pytest.mark.parametrize("name", chips.DIFFRACTIVE)
def test_every_constant_has_a_source_and_a_unit(name: str) -> None:
    for field, constant in chips.diffractive(name).devices:
        assert constant.source, field
        assert constant.unit in {"Hz", "J", "W", "dB", "1"}, field
        assert constant.value >= 0, field


def test_derived_constants_follow_from_the_figures_in_their_sources() -> None:
    devices = chips.DiffractiveDevices()
    assert devices.camera_energy.value == pytest.approx(581e-12, rel=1e-3)  # 5.5 W over 9.46 billion pixels a second
    mirrors = 1920 * 1080
    assert devices.modulator_energy.value * mirrors / 16 * devices.modulator_rate.value == pytest.approx(4.4)
    assert devices.mask_energy.value * mirrors * devices.mask_rate.value == pytest.approx(4.4)


def test_green_light_has_the_fresnel_number_of_the_terahertz_network() -> None:
    chip = chips.diffractive("d2nn")
    terahertz = (400e-6) ** 2 / (0.75e-3 * 3e-2)
    assert chip.pixel**2 / (chip.wavelength * chip.distance) == pytest.approx(terahertz, rel=1e-3)
    assert (chip.layers, chip.mask) == (5, 200)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mask": 81}, "81 x 81 pixels does not fit on a grid of 80 x 80; set `grid=81` or more"),
        ({"grid": 0}, "grid"),
        ({"layers": 0}, "layers"),
        ({"wavelength": 0.0}, "wavelength"),
        ({"pixel": -1e-6}, "pixel"),
        ({"distance": math.inf}, "distance"),
        ({"distance_in": -1e-4}, "distance_in"),
        ({"method": "asm"}, "method"),
        ({"evanescent": "grow"}, "evanescent"),
        ({"detector": "phase"}, "detector"),
        ({"phase_bits": 0}, "phase_bits"),
        ({"phase_noise_fraction": 1.1}, "phase_noise_fraction"),
        ({"noise_in": ("test",)}, "noise_in"),
        ({"noise_in": ("train", "train")}, "twice: train, train; name each once"),
        ({"transmission": 0.0}, "transmission"),
        ({"photons": 0.0}, "photons"),
        ({"wavelenght": 1e-6}, "Did you mean `wavelength`"),
    ],
)
def test_impossible_chips_are_refused_with_the_reason(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        PHOENIX.replace(**changes)


def test_unknown_names_are_answered_with_the_nearest() -> None:
    with pytest.raises(RequestError, match=r"no diffractive chip `phenix`\. Did you mean `phoenix`"):
        chips.diffractive("phenix")


def test_offsets_are_fixed_by_seed_and_layer_and_have_their_spread() -> None:
    chip = PHOENIX.replace(misalignment_std=0.3, layers=64)
    offsets = torch.tensor(chip.offsets(7))
    assert offsets.shape == (64, 2)
    assert float(offsets.std()) == pytest.approx(0.3, rel=5 / math.sqrt(2 * 128))
    assert chip.offsets(7) == chip.offsets(7)
    assert len({chip.offsets(7), chip.offsets(8), chip.offsets(7, "stage 3")}) == 3
    assert set(PHOENIX.offsets(7)) == {(0.0, 0.0)}


def test_the_ways_are_those_of_the_distances() -> None:
    chip = PHOENIX.replace(distance_in=5e-5, layers=3, method="fresnel")
    ways = chip.transfers()
    plane = diffraction.Grid(80, 80, 1.75e-6, 1.05e-6)
    assert len(ways) == 4
    for way, z in zip(ways, (5e-5, 1e-4, 1e-4, 1e-4), strict=True):
        assert torch.equal(way, diffraction.transfer(plane, z, "fresnel"))
    assert all(torch.equal(a, b) for a, b in zip(chip.transfers(seed=1), ways, strict=True))


def test_a_manufactured_chip_has_its_misalignment_in_the_ways() -> None:
    chip = PHOENIX.replace(misalignment_std=0.7)
    straight, bent = chip.transfers(), chip.transfers(seed=5, layer="stage 3")
    assert all(not torch.allclose(a, b) for a, b in zip(straight, bent, strict=True))
    field = torch.randn(80, 80, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    # without masks there is nothing that could be out of place
    made, truth = field, field
    for crooked, way in zip(bent, straight, strict=True):
        made, truth = diffraction.propagate(made, crooked), diffraction.propagate(truth, way)
    assert (made - truth).abs().max() < 1e-12
