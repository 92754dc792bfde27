"""Costs of crossbars against sums made by hand."""

import math

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.cost import count_writes, estimate, index_bits, learning_cost, link, trace, wear_maps, weight_bits
from lightloom.nn import PCMCore, convert, cores, reorder

ELIGHT = chips.preset("elight", chips.PCMChip)
CHIP = ELIGHT.replace(block_size=4)
UP, DOWN = ELIGHT.devices.amorphise_energy.value, ELIGHT.devices.crystallise_energy.value


def one_row(levels: list[int], chip: chips.PCMChip = CHIP) -> nn.Module:
    """One array, one slot in use: 1 x len(levels) weights on k = 1 slot is not possible, so columns repeat."""
    magnitudes = cores(convert(nn.Linear(4, 1, bias=False), chip).model, PCMCore)[""].magnitudes
    layer = nn.Linear(4 * len(levels), 1, bias=False)
    row = torch.tensor([math.copysign(float(magnitudes[abs(level)]), level) for level in levels])
    with torch.no_grad():
        layer.weight.copy_(row.repeat_interleave(4)[None])
    return convert(layer, chip).model


def test_energy_and_time_of_a_hand_made_sequence() -> None:
    """From erased: +15 up; to -3: 15 down and 3 up in the other cell; to -1: 2 down; 4 slots alike."""
    model = one_row([15, -3, -1])
    counted = count_writes(model)
    (layer,) = counted.layers
    assert (layer.levels, layer.turns, layer.arrays, layer.weights) == (4 * (15 + 15 + 3 + 2), 3, 1, 12)
    assert counted.energy_j == pytest.approx(4 * ((15 + 3) * UP + (15 + 2) * DOWN))
    assert layer.latency_s == pytest.approx(15 * 0.5e-6 + 15 * 20e-6 + 2 * 20e-6)
    assert (layer.worst_cell, layer.worst_pair) == (30, 35)
    endurance = ELIGHT.devices.endurance.value
    assert counted.lifetime() == pytest.approx(endurance / 30)
    told = counted.as_dict(rate=1000.0, inferences=endurance / 20)
    assert told["cells_failed"] == 4
    assert told["fails_meanwhile"]
    assert told["first_failure_years"] == pytest.approx(endurance / 30 / 1000 / 31557600)


def test_cycles_and_other_ways_of_writing() -> None:
    repeat = count_writes(one_row([15, -3, -1], CHIP.replace(start="repeat")))
    assert repeat.levels == 4 * (16 + 18 + 2)
    alternate = count_writes(one_row([15, -3, -1], CHIP.replace(start="alternate")))
    assert alternate.levels == 4 * (18 + 2)
    pulses = count_writes(one_row([15, -3, -1], CHIP.replace(write_model="per_cell")))
    assert pulses.layers[0].pulses == 4 * 4  # up; down and up; down


def test_a_matrix_of_one_block_is_never_rewritten_in_a_cycle() -> None:
    model = convert(nn.Linear(4, 4), CHIP.replace(start="repeat")).model
    counted = count_writes(model)
    assert counted.levels == 0
    told = counted.as_dict(rate=1.0, inferences=1e12)
    assert told["first_failure"] is None
    assert told["cells_failed"] == 0


def test_the_bill_holds_the_writes_and_its_boundaries_grow() -> None:
    model = convert(nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 16, 10)), CHIP).model
    bill, counted = estimate(model, torch.rand(1, 1, 6, 6)), count_writes(model)
    assert bill.parts["cell writes"] == pytest.approx(counted.energy_j)
    assert "phase shifters" not in bill.parts
    energies = [boundary.energy_j for boundary in bill.boundaries]
    assert energies == sorted(energies)
    assert bill.total.energy_j == pytest.approx(sum(bill.parts.values()))
    assert bill.total.latency_s > sum(layer.latency_s for layer in counted.layers)
    assert bill.counts["cells"] == 2 * 4 * (6 + 10)
    assert any("rewritten for each block column" in text for text in bill.assumptions)
    before = bill.total.energy_j
    for core in cores(model, PCMCore).values():
        core.place(reorder(core))
    assert estimate(model, torch.rand(1, 1, 6, 6)).total.energy_j < before


def test_modulators_follow_what_is_shared() -> None:
    """6 x 9 weights on arrays of 4: two arrays, three turns."""
    sent = {}
    for sharing, broadcast in (("row_private", False), ("column_shared", False), ("column_shared", True)):
        layer = convert(nn.Linear(9, 6), CHIP.replace(sharing=sharing, broadcast=broadcast)).model
        sent[sharing, broadcast] = cores(layer, PCMCore)[""].counts(vectors=5).conversions_in
    assert list(sent.values()) == [5 * 9 * 6, 5 * 9 * 2, 5 * 9]


def test_light_for_an_array_by_hand() -> None:
    devices = CHIP.devices
    loss = 0.7 + 1.2 + 10 * math.log10(8) + 3 * 0.1 + 3 * 0.043 + devices.cell_loss.value
    assert link.path_loss_db(CHIP) == pytest.approx(loss)
    assert link.laser_light(CHIP) == pytest.approx(1e-3 * 10 ** ((-25 + loss) / 10))


def test_orders_and_wear_are_stored_by_layer() -> None:
    model = convert(nn.Sequential(nn.Linear(20, 8)), CHIP).model
    assert (index_bits(model), weight_bits(model)) == (0, 160 * 5)
    case = count_writes(model, state="programmed")
    maps = wear_maps([case])
    assert list(maps) == ["0/programmed/as it comes"]
    assert maps["0/programmed/as it comes"].shape == (2, 4, 4)
    assert float(maps["0/programmed/as it comes"].max()) == case.worst_cell
    for core in cores(model, PCMCore).values():
        core.place(reorder(core))
    assert index_bits(model) == 160 * 3


def test_networks_without_cells_and_learning_without_meshes_are_refused() -> None:
    with pytest.raises(ValueError, match="no layer on a PCM chip"):
        count_writes(nn.Linear(2, 2))
    model = convert(nn.Linear(8, 8), CHIP).model
    with pytest.raises(ValueError, match="no mesh"):
        learning_cost(trace(model, torch.rand(1, 8)), 10)
