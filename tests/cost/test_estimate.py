"""Bills of whole networks: sums, laws that they obey, and figures by hand."""

import math
from itertools import pairwise

import pytest
import torch
from torch import nn

from lightloom import chips
from lightloom.common.errors import RequestError
from lightloom.cost import SCHEDULES, Cost, Memory, System, estimate, link
from lightloom.cost.mesh import MeshCost
from lightloom.cost.mesh.phases import expected_power, holding_power
from lightloom.nn import MeshCore, convert, cores
from lightloom.physics import mesh

NOEMS, HEATERS = chips.preset("noems", chips.MeshChip), chips.preset("thermo-optic", chips.MeshChip)
ELIGHT = chips.preset("elight", chips.PCMChip).replace(block_size=8)
SAMPLE = torch.randn(1, 3, 16, 16)
ALL_CHIPS = (NOEMS, HEATERS, ELIGHT)
SYSTEMS = [
    System(schedule=schedule, cores=count, inferences=batch)
    for schedule in SCHEDULES
    for count in (None, 1, 5, 4000)
    for batch in (1, 3)
]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 20, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(4),
        nn.Conv2d(20, 20, 3, groups=4),
        nn.Flatten(),
        nn.Linear(80, 10),
    )


def bill(chip: chips.Chip, system: System | None = None) -> Cost:
    return estimate(network(), SAMPLE, chip=chip, system=system)


@pytest.mark.parametrize("chip", ALL_CHIPS, ids=lambda chip: chip.name)
def test_every_bill_adds_up_and_its_boundaries_hold_one_another(chip: chips.Chip) -> None:
    for system in SYSTEMS:
        cost = bill(chip, system)
        energies = [boundary.energy_j for boundary in cost.boundaries]
        times = [boundary.latency_s for boundary in cost.boundaries]
        assert energies == sorted(energies)
        assert times == sorted(times)
        assert energies[-1] == pytest.approx(sum(cost.parts.values()))
        around = cost.electronics["energy_j"] + cost.electronics["memory_j"]
        assert energies[-1] == pytest.approx(sum(layer.energy_j for layer in cost.layers) + around)
        assert times[-1] == pytest.approx(
            sum(layer.latency_s for layer in cost.layers) + system.inferences * cost.electronics["latency_s"]
        )
        assert cost.parts["memory"] == pytest.approx(sum(cost.memory["energy_j"].values()))
        assert sum(cost.memory["bytes"][where] for where in ("DRAM", "buffer")) == pytest.approx(
            sum(cost.memory["contents"].values())
        )
        assert cost.throughput_per_s == pytest.approx(system.inferences / times[-1])
        assert cost.power_w == pytest.approx(energies[-1] * cost.throughput_per_s)
        assert cost.tops_per_w == pytest.approx(cost.tops / cost.power_w)
        assert cost.area_m2 == pytest.approx(sum(cost.area.values()))
        mine = cost.schedules[system.schedule]
        assert (mine["energy_j"], mine["latency_s"]) == (energies[-1], times[-1])


def test_a_plan_costs_what_the_programmed_network_costs() -> None:
    """All but what holds the phases: those of shifters that start at zero are smaller than uniform ones."""
    planned, made = bill(HEATERS), estimate(convert(network(), HEATERS).model, SAMPLE)
    assert planned.counts == {**made.counts, "parameters": planned.counts["parameters"]}
    assert planned.link_budget == made.link_budget
    assert planned.area == made.area
    for part, joules in made.parts.items():
        if part.startswith("phase shifters"):
            assert joules < planned.parts[part] < 3 * joules  # and padding is never programmed
        else:
            assert planned.parts[part] == pytest.approx(joules), part
    assert set(MeshCost.expected_settings) <= set(planned.assumptions)
    assert not set(MeshCost.expected_settings) & set(made.assumptions)


def test_heaters_hold_their_phases_as_long_as_the_inference_lasts() -> None:
    model = convert(network(), HEATERS).model
    cost = estimate(model, SAMPLE)
    watts = sum(holding_power(core.state(), core.chip) for core in cores(model, MeshCore).values())
    converted = cost.boundaries[1].latency_s
    assert cost.parts["phase shifters"] == pytest.approx(watts * converted)
    assert cost.parts["phase shifters while waiting"] == pytest.approx(watts * (cost.total.latency_s - converted))


@pytest.mark.parametrize("field", ["real", "complex"])
def test_expected_power_is_that_of_phases_drawn_uniformly(field: str) -> None:
    chip = HEATERS.replace(field=field)
    shifters = mesh.phase_count(chip.block_size, chip.layout, chip.field)
    turn, drawn = 2 * math.pi, torch.Generator().manual_seed(0)
    state = {
        "u_phases": turn * torch.rand(5000, shifters, generator=drawn),
        "v_phases": turn * torch.rand(5000, shifters, generator=drawn),
        "sigma": torch.cos(math.pi * torch.rand(5000, chip.block_size, generator=drawn)),
        "gain": torch.ones(5000),
    }
    assert holding_power(state, chip) / 5000 == pytest.approx(expected_power(chip), rel=0.01)


def test_cores_shared_by_all_layers_are_reloaded_and_twice_as_many_take_half_the_rounds() -> None:
    model, sample = nn.Linear(64, 64, bias=False), torch.randn(1, 5, 64)  # 64 tiles of 8 x 8, one call each
    found = {n: estimate(model, sample, chip=NOEMS, system=System(cores=n)) for n in (8, 16, 32, 64)}
    assert [found[n].layers[0].rounds for n in found] == [8, 4, 2, 1]
    assert [found[n].reconfiguration["times"] for n in found] == [64, 64, 64, 0]
    settle = 2e-6 + (2 * 28 + 8) / 5e9
    for n in (8, 16, 32):
        assert found[n].reconfiguration["time_s"] == pytest.approx(64 / n * settle)
        assert found[n].boundaries[0].latency_s == pytest.approx(64 / n * (settle + 1 / 5e9))
    setting = 64 * 64 * 50e-3 / 14e9
    assert found[8].parts["weight DACs"] == pytest.approx(setting)
    assert found[64].boundaries[0].latency_s == pytest.approx(1 / 5e9)


def test_a_batch_shares_its_reconfigurations() -> None:
    alone, together = (bill(NOEMS, System(cores=5, inferences=n)) for n in (1, 8))
    assert together.reconfiguration["times"] == alone.reconfiguration["times"] / 8
    assert together.reconfiguration["time_s"] == alone.reconfiguration["time_s"]
    assert together.throughput_per_s > alone.throughput_per_s
    assert together.total.energy_j < alone.total.energy_j
    assert together.total.latency_s > alone.total.latency_s


def test_programming_is_counted_where_it_is_asked_for() -> None:
    counted = bill(NOEMS, System(programmed=False))
    assert bill(NOEMS).reconfiguration == {"times": 0, "time_s": 0, "energy_j": 0}
    assert counted.reconfiguration["times"] == counted.counts["cores"]
    assert counted.reconfiguration["time_s"] == pytest.approx(3 * (2e-6 + 64 / 5e9))


def test_outputs_that_stay_are_read_once_and_inputs_that_stay_are_sent_once() -> None:
    model, sample = nn.Linear(40, 24, bias=False), torch.randn(1, 11, 40)
    read = {s: estimate(model, sample, chip=NOEMS, system=System(schedule=s, cores=2)).converters for s in SCHEDULES}
    assert [read[s]["adc"] for s in SCHEDULES] == [11 * 24 * 5, 11 * 24 * 5, 11 * 24]
    assert read["input"]["dac"] == 11 * 40
    assert read["weight"]["dac"] > 11 * 40
    with_integrators = estimate(model, sample, chip=NOEMS, system=System(schedule="output", cores=2))
    assert with_integrators.parts["integrators"] > 0
    assert with_integrators.area["integrators"] == pytest.approx(2 * 64 * 560e-12)


@pytest.mark.parametrize("chip", ALL_CHIPS, ids=lambda chip: chip.name)
def test_the_walk_along_the_link_ends_at_the_detectors_sensitivity(chip: chips.Chip) -> None:
    for system in (System(), System(laser_levels=True, extinction=True, margin_db=3)):
        (walk,) = bill(chip, system).link_budget
        levels = [step["level_dbm"] for step in walk["steps"]]
        drops = [before - after for before, after in pairwise(levels)]
        assert drops == pytest.approx([step["loss_db"] for step in walk["steps"][1:]])
        assert levels[-1] == pytest.approx(-25)
        assert walk["laser_w"] == pytest.approx(walk["channels"] * 1e-3 * 10 ** (levels[0] / 10))
        assert walk["laser_electrical_w"] == pytest.approx(walk["laser_w"] / 0.2)
        assert walk["laser_w_with_levels"] == pytest.approx(256 * walk["laser_w_without_levels"])


def test_reserves_of_the_laser_are_switches() -> None:
    plain = bill(NOEMS)
    for changed, factor in (
        ({"laser_levels": True}, 256),
        ({"extinction": True}, 1 / (1 - 0.1)),
        ({"margin_db": 10.0}, 10),
    ):
        raised = bill(NOEMS, System(**changed))
        for part in ("laser light", "laser wall plug"):
            assert raised.parts[part] == pytest.approx(factor * plain.parts[part])
        assert raised.parts["detectors and ADCs"] == plain.parts["detectors and ADCs"]
        assert raised.assumptions != plain.assumptions


def test_lights_that_stay_on_and_shared_converters() -> None:
    gated, always = (bill(NOEMS, System(cores=5, gated=on)) for on in (True, False))
    assert always.parts["laser light"] > 100 * gated.parts["laser light"]
    shared = bill(NOEMS, System(adc_share=4))
    assert shared.boundaries[1].latency_s == pytest.approx(4 * bill(NOEMS).boundaries[1].latency_s)
    assert shared.area["ADCs"] == pytest.approx(bill(NOEMS).area["ADCs"] / 4)


def test_area_by_hand() -> None:
    cost = estimate(nn.Linear(8, 8), torch.randn(1, 8), chip=NOEMS)
    um2 = 1e-12
    assert cost.area == pytest.approx(
        {
            "meshes": 64 * 180 * 100 * um2,
            "modulators": 64 * 260 * 20 * um2,
            "DACs": 65 * 11000 * um2,
            "detectors and amplifiers": 64 * (40 + 50) * um2,
            "ADCs": 64 * 2850 * um2,
            "lasers": 8 * 400 * 300 * um2,
            "buffer": 2 * 2**20 * 8 * 0.07 / 0.5 * um2,
        }
    )


def test_memory_by_hand() -> None:
    """16 x 24 weights in 2 x 3 tiles of 64 phases at 8 bit, 10 vectors, on 2 cores: one column of tiles at a time."""
    system = System(cores=2)
    cost = estimate(nn.Linear(24, 16, bias=False), torch.randn(1, 10, 24), chip=NOEMS, system=system)
    inputs, outputs, partials = 10 * 24, 10 * 16, 2 * 10 * 16 * 2 * 2  # two columns more, written and read, 16 bit
    assert cost.memory["bytes"] == {
        "DRAM": inputs + outputs,
        "buffer": 6 * 64 + inputs + outputs + partials,
        "registers": 0,
    }
    small = system.replace(memory=Memory(buffer_size=300))
    cost = estimate(nn.Linear(24, 16, bias=False), torch.randn(1, 10, 24), chip=NOEMS, system=small)
    # neither weights nor activations fit: weights come at each setting, activations go and come
    assert cost.memory["bytes"]["DRAM"] == 6 * 64 + 2 * (inputs + outputs)


def test_slow_memory_is_waited_for() -> None:
    slow = Memory().dram_bandwidth.model_copy(update={"value": 1e6})
    system = System(cores=5, memory=Memory(buffer_size=64, dram_bandwidth=slow))
    waiting, whole = bill(HEATERS, system), bill(HEATERS, System(cores=5))
    assert waiting.total.latency_s > whole.total.latency_s
    assert waiting.boundaries[2].latency_s == whole.boundaries[2].latency_s
    assert waiting.parts["phase shifters while waiting"] > 0
    assert "phase shifters while waiting" not in whole.parts


def test_references_are_profiles_of_the_whole_network() -> None:
    cost = bill(NOEMS)
    macs = sum(layer.macs for layer in cost.layers)
    assert macs == 256 * 20 * 27 + 4 * 4 * 5 * 45 + 800
    measured = next(row for row in cost.references if row["name"] == "GPU at batch 1")
    operations = macs + cost.electronics["values"]
    assert measured["energy_j"] == pytest.approx(operations * 492.28e-3 / 4.028e9)
    assert measured["ratio_energy"] == pytest.approx(measured["energy_j"] / cost.total.energy_j)


def test_several_technologies_in_one_network() -> None:
    cost = estimate(network(), SAMPLE, places=[("0", ELIGHT), ("5", NOEMS), ("3", None)])
    assert [(layer.name, layer.chip) for layer in cost.layers] == [("0", "elight"), ("5", "noems")]
    assert [walk["chip"] for walk in cost.link_budget] == ["elight", "noems"]
    assert cost.electronics["macs"] == 4 * 4 * 5 * 45
    assert {"meshes", "cells"} <= set(cost.area)
    assert {"phase shifters", "cell writes"} <= set(cost.parts)


class Loop(nn.Module):
    """One layer, three times."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(self.layer(self.layer(x)))


def test_a_layer_that_is_used_again_takes_its_time_again_and_no_second_core() -> None:
    cost = estimate(Loop(), torch.randn(1, 8), chip=NOEMS)
    assert cost.counts["cores"] == 1
    assert cost.counts["calls"] == 3
    assert cost.boundaries[1].latency_s == pytest.approx(3 * (1 + 2) / 5e9)


def test_a_planned_crossbar_expects_more_writes_than_a_trained_one_takes() -> None:
    planned, made = bill(ELIGHT), estimate(convert(network(), ELIGHT).model, SAMPLE)
    assert planned.parts["cell writes"] > made.parts["cell writes"] > planned.parts["cell writes"] / 20
    assert planned.parts["modulators and DACs"] == pytest.approx(made.parts["modulators and DACs"])
    enough = bill(ELIGHT, System(cores=1000))
    assert enough.parts["cell writes"] == enough.reconfiguration["times"] == 0


def test_costs_say_how_the_chips_were_run() -> None:
    told = bill(NOEMS, System(cores=5, laser_levels=True)).as_dict()
    assert told["system"]["cores"] == 5
    assert told["system"]["laser_levels"] is True
    assert any("share 5 cores" in text for text in told["assumptions"])
    assert {"weight", "input", "output"} == set(told["schedules"])
    assert all(math.isfinite(value) for value in told["parts"].values())


def test_levels_follow_the_bits_of_the_output() -> None:
    assert link.levels(NOEMS.replace(output_bits=4)) == 16
    assert link.levels(NOEMS.replace(output_bits=None)) == 256


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: estimate(network(), SAMPLE.repeat(2, 1, 1, 1), chip=NOEMS), r"sample\[:1\]"),
        (lambda: estimate(network(), SAMPLE), "Use `convert` first, or give the `chip`"),
        (lambda: estimate(network(), SAMPLE, skip="0"), "give the `chip`"),
        (lambda: estimate(network(), SAMPLE, chip=NOEMS, skip=[nn.Conv2d, nn.Linear]), "skipped by request"),
        (lambda: estimate(nn.ReLU(), SAMPLE, chip=NOEMS), "none with weights"),
        (lambda: System.parse({"core": 3}), "Did you mean `cores`"),
        (lambda: System.parse({"cores": 0}), "greater than or equal to 1"),
        (lambda: System.parse({"schedule": "row"}), "weight"),
        (lambda: System.parse({"memory": {"dram_energy": {"value": 1, "unit": "pJ/byte", "source": ""}}}), "`J/byte`"),
        (lambda: System.parse({"memory": {"dram_energy": {"value": -1, "unit": "J/byte", "source": ""}}}), "negative"),
        (lambda: NOEMS.devices.replace(shifter_time=NOEMS.devices.mzi_loss), "the unit is `dB`"),
    ],
)
def test_requests_that_cannot_be_met(call: object, match: str) -> None:
    with pytest.raises(RequestError, match=match):
        call()  # type: ignore[operator]


def test_two_chips_of_one_name_are_told_apart() -> None:
    slow = NOEMS.devices.symbol_rate.model_copy(update={"value": 1e9})
    other = NOEMS.replace(devices=NOEMS.devices.replace(symbol_rate=slow))
    model = nn.Sequential(nn.Linear(8, 8), nn.Linear(8, 8))
    found = estimate(model, torch.zeros(1, 8), chip=NOEMS, places={"1": other})
    names = [NOEMS.name, f"{NOEMS.name} (2)"]
    assert [layer.chip for layer in found.layers] == names
    assert [budget["chip"] for budget in found.link_budget] == names
    rates = {row["chip"]: row["value"] for row in found.constants if row["name"] == "symbol_rate"}
    assert rates == {names[0]: NOEMS.devices.symbol_rate.value, names[1]: 1e9}
