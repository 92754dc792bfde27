"""Costs against sums made by hand."""

import math

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.cost import energy as energies
from lightloom.cost import estimate, learning_cost, link, trace
from lightloom.cost.mesh.phases import holding_power
from lightloom.nn import convert

L2IGHT, NOEMS = chips.preset("l2ight"), chips.preset("noems")


def network(chip: chips.MeshChip) -> nn.Module:
    model = nn.Sequential(nn.Conv2d(1, 9, 3), nn.ReLU(), nn.Flatten(), nn.Linear(9 * 16, 10))
    return convert(model, chip).model


SAMPLE = torch.randn(1, 1, 6, 6)


def test_counts_of_a_small_network_by_hand() -> None:
    cost = estimate(network(L2IGHT), SAMPLE)
    # conv: 1 block, 16 positions on 9 wavelengths: 2 calls; linear 10 x 144: 2 x 16 blocks, 1 call each
    assert [layer.calls for layer in cost.layers] == [2, 32]
    assert cost.counts["cores"] == 33
    assert cost.counts["mzis"] == 33 * 81
    assert cost.counts["calls"] == 34


def test_a_layer_used_twice_is_counted_twice() -> None:
    layer = nn.Linear(9, 9)
    model = convert(nn.Sequential(layer, layer), L2IGHT).model
    (use,) = trace(model, torch.randn(1, 9))
    assert use.vectors == 2


def test_tracing_leaves_the_model_as_it_was() -> None:
    model = network(L2IGHT).train()
    trace(model, SAMPLE)
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


def test_latency_is_symbols_over_rate() -> None:
    cost = estimate(network(L2IGHT), SAMPLE)
    optics, converters, plug, widest = cost.boundaries
    assert optics.latency_s == pytest.approx((2 + 1) / 5e9)
    assert converters.latency_s == plug.latency_s == pytest.approx((2 + 1 + 2 * 2) / 5e9)
    assert widest.latency_s == pytest.approx(plug.latency_s + cost.electronics["latency_s"])


def test_boundaries_hold_one_another_and_add_up() -> None:
    cost = estimate(network(L2IGHT), SAMPLE)
    totals = [boundary.energy_j for boundary in cost.boundaries]
    assert totals == sorted(totals)
    assert totals[-1] == pytest.approx(sum(cost.parts.values()))
    around = cost.electronics["energy_j"] + cost.electronics["memory_j"]
    assert totals[-1] == pytest.approx(sum(layer.energy_j for layer in cost.layers) + around)
    assert cost.total.name == cost.boundary == "with memory and electronics"


def test_laser_light_from_sensitivity_and_losses() -> None:
    """-25 dBm at each of 8 outputs on 8 wavelengths, behind 0.7 + 1.2 + 17 x 0.99 dB."""
    loss = 0.7 + 1.2 + 17 * 0.99
    assert link.path_loss_db(NOEMS) == pytest.approx(loss)
    assert link.laser_light(NOEMS) == pytest.approx(64 * 1e-3 * 10 ** ((-25 + loss) / 10))


def test_heaters_are_paid_by_their_phase() -> None:
    state = {
        "u_phases": torch.tensor([math.pi, 2 * math.pi + math.pi / 2]),
        "v_phases": torch.tensor([-math.pi / 2]),
        "sigma": torch.tensor([1.0, 0.0, -1.0]),
        "gain": torch.tensor(0.5),
    }
    phases = math.pi + math.pi / 2 + 3 * math.pi / 2 + (0 + math.pi / 2 + math.pi)
    assert holding_power(state, L2IGHT) == pytest.approx(phases / math.pi * 24.77e-3)


def test_converters_are_paid_per_value_and_by_their_width() -> None:
    counts = network(NOEMS)[0].core.counts(16)
    power = energies.layer_energy(counts, NOEMS, 0.0, 0.0)
    modulator = 450e-15 * 8 + 50e-3 / 14e9
    assert power.modulators == pytest.approx(16 * 9 * modulator)
    wider = energies.layer_energy(counts, NOEMS.replace(input_bits=9), 0.0, 0.0)
    assert wider.modulators == pytest.approx(16 * 9 * (450e-15 * 9 + 50e-3 / 14e9 * (512 / 10) / (256 / 9)))
    time = counts.calls / counts.cores / NOEMS.devices.symbol_rate.value  # all cores work side by side
    adc = 16 * 9 * 2 * 14.8e-3 / 10e9  # two block columns are read apart
    assert power.detectors == pytest.approx(counts.cores * 64 * 4.1e-3 * time + adc)


def test_every_constant_in_use_is_listed_with_its_source() -> None:
    constants = estimate(network(NOEMS), SAMPLE).constants
    assert {row["name"] for row in constants if row["chip"] == "noems"} == {name for name, _ in NOEMS.devices}
    assert {row["chip"] for row in constants if row["name"] == "dram_energy"} == {"memory"}
    assert all(row["source"] and row["unit"] for row in constants)


def test_learning_pays_forward_twice_for_sigma_and_feedback_behind_the_first_layer() -> None:
    calls = learning_cost(trace(network(L2IGHT), SAMPLE), images=10).calls
    assert calls == {
        "forward": 340,
        "sigma_gradient": 680,
        "error_feedback": 320,
        "chip_calls": 340 + 680 + 320,
    }


def test_an_electronic_model_costs_nothing_here() -> None:
    with pytest.raises(ValueError, match="no optical layer"):
        estimate(nn.Linear(3, 3), torch.randn(1, 3))
