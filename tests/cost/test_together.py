"""One bill for a network of tensor cores, diffractive layers and electronics: each counted once, as what it is."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lightloom import cost
from lightloom.chips import DiffractiveChip, preset
from lightloom.cost import GPU_BATCH_1, System
from lightloom.cost.diffraction import LightUse, light_cost
from lightloom.nn import convert
from lightloom.nn.diffractive import DiffractiveConv2d

CHIP = DiffractiveChip(name="small", grid=16, mask=8, layers=3)
pytestmark = pytest.mark.filterwarnings("ignore:Chip `small` has a way")
CORES = preset("l2ight")
IMAGE = torch.rand(1, 3, 8, 8)


class Both(nn.Module):
    """A convolution, a diffractive layer and a matrix, each with electronics behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Conv2d(3, 4, 3, padding=1)
        self.light = DiffractiveConv2d(4, 2, CHIP)
        self.head = nn.Linear(2 * 64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.light(torch.relu(self.front(x)))).flatten(1))


def test_a_bill_holds_what_every_kind_of_layer_takes() -> None:
    model = convert(Both(), CORES, skip=["front"]).model
    bill = cost.estimate(model, IMAGE)
    light = light_cost(LightUse("light", model.light, ((8, 8),)), 1)
    alone = cost.estimate(nn.Sequential(nn.Flatten(), model.head), torch.rand(1, 2, 8, 8))
    rows = {row.name: row for row in bill.layers}
    assert rows["light"].energy_j == pytest.approx(sum(light.parts.values()))
    assert rows["light"].latency_s == pytest.approx(light.time)
    assert rows["light"].calls == light.frames == 8
    assert bill.parts["masks"] == pytest.approx(light.masks)
    assert bill.parts["cameras"] == pytest.approx(light.cameras)
    assert bill.parts["detectors and ADCs"] == pytest.approx(alone.parts["detectors and ADCs"])
    assert bill.parts["laser light"] == pytest.approx(light.light + alone.parts["laser light"])
    # the convolution and the sums over channels are what electronics multiplies; the optics is in neither
    assert bill.electronics["macs"] == 64 * 4 * 3 * 9 + model.light.weight.numel() * 64
    assert sum(bill.parts.values()) == pytest.approx(bill.total.energy_j)
    assert [row.energy_j for row in bill.boundaries] == sorted(row.energy_j for row in bill.boundaries)
    assert [row.latency_s for row in bill.boundaries] == sorted(row.latency_s for row in bill.boundaries)
    assert {"small", "l2ight"} <= {row["chip"] for row in bill.constants}
    # phases wait while frames are shown
    assert bill.parts["phase shifters while waiting"] > alone.parts["phase shifters while waiting"]


def test_paths_side_by_side_take_less_time_and_nothing_else_alone() -> None:
    model = Both()
    one, every = (cost.estimate(model, IMAGE, system=System(parallel_paths=paths)) for paths in (1, None))
    assert every.total.latency_s < one.total.latency_s
    assert every.parts["cameras"] == one.parts["cameras"]
    assert set(one.parts) == {
        *("laser light", "masks", "image modulators", "cameras", "laser wall plug", "memory", "electronics"),
    }
    assert not one.link_budget


def test_a_model_that_is_only_planned_keeps_its_light() -> None:
    planned = cost.estimate(Both(), IMAGE, chip=CORES, skip=["front"])
    assert {row.name for row in planned.layers} == {"light", "head"}


def test_a_hybrid_bill_takes_tensor_cores_for_optics() -> None:
    plain = Both()
    model = convert(plain, CORES, skip=["front"]).model
    optical, electronic = (cost.hybrid_cost(each, IMAGE) for each in (model, plain))
    alone = cost.estimate(
        nn.Sequential(nn.Flatten(), model.head), torch.rand(1, 2, 8, 8), system=System(electronics=GPU_BATCH_1)
    )
    saved = GPU_BATCH_1.spend(128 * 10).energy_j
    first, before = optical.boundaries[0].energy_j, electronic.boundaries[0].energy_j
    assert first == pytest.approx(before - saved)
    assert optical.parts["detectors and ADCs"] == pytest.approx(alone.parts["detectors and ADCs"])
    assert optical.parts["masks"] == electronic.parts["masks"]
    assert sum(optical.parts.values()) == pytest.approx(optical.total.energy_j)
    assert optical.optical_parameters == electronic.optical_parameters + 128 * 10
    assert optical.electronic_parameters == electronic.electronic_parameters - 128 * 10
    assert any("tensor cores" in line.lower() for line in optical.assumptions)
    assert not any("tensor cores" in line.lower() for line in electronic.assumptions)
    held = sum(joules for part, joules in alone.parts.items() if part.startswith("phase shifters"))
    assert optical.parts["phase shifters"] > held
    assert "forward" not in vars(model.head)
    assert "cached_weight" not in vars(model.head.core)


def test_stages_on_tensor_cores_are_no_electronics_that_remains() -> None:
    class Staged(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stages = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)])

        def forward(self, x: Tensor) -> Tensor:
            for stage in self.stages:
                x = stage(x)
            return x

    plain = Staged()
    model = convert(plain, CORES, skip=["stages.0"]).model
    assert cost.published_accounting(plain, IMAGE)["stages"] == 2
    published = cost.published_accounting(model, IMAGE)
    assert (published["stages"], published["macs"]) == (1, 64 * 4 * 3 * 9)
