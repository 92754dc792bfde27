import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lightloom.bench.mesh.calibrate import true_twin
from lightloom.chips import MeshChip, preset
from lightloom.lab.mesh.instrument import BlockSettings, specimen_instrument
from lightloom.lab.mesh.twin import DigitalTwin, attenuation, drive


def random_settings(chip: MeshChip, blocks: int, *lead: int) -> BlockSettings:
    shifters = chip.block_size * (chip.block_size - 1) // 2
    u, v = (2 * math.pi * torch.rand(*lead, blocks, shifters, dtype=torch.float64) for _ in range(2))
    return BlockSettings(u, v, (math.pi * torch.rand(*lead, blocks, chip.block_size, dtype=torch.float64)).cos())


@pytest.mark.parametrize(
    "chip",
    [
        preset("l2ight").replace(block_size=5),
        preset("l2ight").replace(block_size=4, dac="voltage", insertion_loss_db=0.3),
        preset("l2ight").replace(block_size=4, layout="triangle", crosstalk=0.02),
        preset("ideal").replace(block_size=3),
    ],
    ids=["published", "voltage and loss", "triangle", "ideal"],
)
def test_a_twin_with_the_true_errors_is_the_chip(chip: MeshChip) -> None:
    instrument = specimen_instrument(chip, 3, specimen=4)
    settings = random_settings(chip, 3)
    instrument.program(settings)
    torch.testing.assert_close(true_twin(chip, 3, 4).matrices(settings), instrument.matrices(), rtol=0, atol=1e-12)


def test_records_in_front_are_batches() -> None:
    chip = preset("l2ight").replace(block_size=4)
    twin, settings = true_twin(chip, 2, 0), random_settings(chip, 2, 3)
    one = twin.matrices(BlockSettings(*(part[1] for part in settings)))
    torch.testing.assert_close(twin.matrices(settings)[1], one, rtol=0, atol=1e-14)


def test_select_keeps_the_blocks_asked_for() -> None:
    chip = preset("l2ight").replace(block_size=4)
    twin, settings = true_twin(chip, 3, 0), random_settings(chip, 3)
    some = torch.tensor([2, 0])
    chosen = twin.select(some).matrices(BlockSettings(*(part[some] for part in settings)))
    torch.testing.assert_close(chosen, twin.matrices(settings)[some], rtol=0, atol=1e-14)


@pytest.mark.parametrize("dac", ["phase", "voltage"])
def test_what_the_drive_gives_is_one_of_its_levels(dac: str) -> None:
    chip = preset("l2ight").replace(dac=dac, weight_bits=4)
    fractions = torch.arange(16, dtype=torch.float64) / 15
    levels = 2 * math.pi * (fractions if dac == "phase" else fractions.square())
    given = drive(torch.linspace(-7, 14, 300, dtype=torch.float64), chip)
    assert (given.unsqueeze(-1) - levels).abs().amin(-1).max() < 1e-12


def test_an_attenuator_has_its_levels_in_angle() -> None:
    chip = preset("l2ight").replace(weight_bits=3)
    angles = attenuation(torch.linspace(-1, 1, 50, dtype=torch.float64), chip)
    steps = angles * 7 / math.pi
    assert (steps - steps.round()).abs().max() < 1e-12 and len(steps.round().unique()) == 8


def test_flipping_the_sign_of_a_mode_in_u_and_v_is_the_same_block() -> None:
    """The freedom that the docstring names; at k = 2 one phase alone takes it, half a turn on in both meshes."""
    chip = preset("ideal").replace(block_size=2)
    twin, settings = DigitalTwin.nominal(chip, 2), random_settings(chip, 2)
    other = replace(twin, u_bias=twin.u_bias + math.pi, v_bias=twin.v_bias + math.pi)
    close(twin.matrices(settings), other.matrices(settings))


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
