"""Hybrid costs against published tables, counts by another method, and sums made by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lightloom.chips import DiffractiveChip, diffractive
from lightloom.common.errors import RequestError
from lightloom.cost import EDGE_PEAK, GPU_BATCH_1, hybrid_cost, hybrid_file, published_accounting
from lightloom.cost.diffraction import pixel_light
from lightloom.cost.macs import count_work
from lightloom.nn.backbones import Backbone, HybridConfig, replace_stages
from lightloom.nn.diffractive import DiffractiveConv2d

CHIP = DiffractiveChip(name="small", grid=16, mask=8, layers=3)
pytestmark = pytest.mark.filterwarnings("ignore:Chip `small` has a way")  # its grid is small to be quick
DEVICES = CHIP.devices

# optical stages: parameters in M, multiply-adds in G, energy in mJ, latency in ms, as published
TABLE: list[tuple[tuple[int, ...], float, float, float, float]] = [
    ((), 6.587, 4.03, 492.28, 10.97),
    ((3,), 1.630, 2.67, 337.61, 7.53),
    ((2, 3), 0.175, 1.13, 144.96, 2.99),
    ((1, 2, 3), 0.019, 0.43, 66.47, 0.97),
]
PHASES = {(3,): 256 * 288 * 2 * 40**2, (2, 3): 160 * 128 * 2 * 100**2 + 256 * 160 * 2 * 40**2}


def regnet(optical: Sequence[int]) -> nn.Module:
    """RegNetX-800MF from its config, with optical stages as wide as published; sizes alone, no numbers."""
    transformers = pytest.importorskip("transformers")
    config = transformers.RegNetConfig(
        embedding_size=32, hidden_sizes=[64, 128, 288, 672], depths=[1, 3, 7, 5], groups_width=16, layer_type="x"
    )
    model: nn.Module = transformers.RegNetModel(config)
    if optical:
        widths = {1: (256,), 2: (160, 256), 3: (96, 96, 96)}[len(optical)]
        made = [diffractive("phoenix" if stage == 3 else f"phoenix-stage{stage}") for stage in optical]
        published = HybridConfig(stages=tuple(optical), channels=widths, mixing="dense", fit="chip")
        replace_stages(model, made, published, sample_shape=(416, 608), keep_width=False)
    return model


@pytest.mark.parametrize(("optical", "parameters", "macs", "energy", "latency"), TABLE)
def test_published_account_is_the_published_table(
    optical: tuple[int, ...], parameters: float, macs: float, energy: float, latency: float
) -> None:
    with torch.device("meta"):
        model, sample = regnet(optical), torch.empty(1, 3, 416, 608)
    found = published_accounting(model, sample)
    assert round(found["parameters"] / 1e6, 3) == parameters
    assert round(found["macs"] / 1e9, 2) == macs
    assert found["stages"] == 4 - len(optical)
    # one energy per multiply-add, taken from the first row, tells the other rows to within 22 %
    assert found["energy_j"] * 1e3 == pytest.approx(energy, rel=0.22 if len(optical) == 3 else 0.05)
    assert found["latency_s"] * 1e3 == pytest.approx(latency, rel=0.22 if len(optical) == 3 else 0.05)
    if optical in PHASES:
        assert hybrid_cost(model, sample).optical_parameters == PHASES[optical]


def test_one_published_stage_hides_236_million_phases_and_73_728_paths() -> None:
    with torch.device("meta"):
        cost = hybrid_cost(regnet((3,)), torch.empty(1, 3, 416, 608))
    assert cost.optical_parameters == 235_929_600
    assert cost.optical_paths == cost.frames == 288 * 256


def by_hooks(model: nn.Module, sample: Tensor) -> int:
    """Multiply-adds of convolutions and linear layers, from the shapes that pass them."""
    total = 0

    def look(module: Any, given: Any, made: Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.ConvTranspose2d):
            total += given[0].numel() * module.weight[0].numel()
        else:
            total += made.numel() * module.weight[0].numel()

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    handles = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, kinds)]
    model(sample)
    for handle in handles:
        handle.remove()
    return total


class Attending(nn.Module):
    """Attention over the pixels of a map, through the one call or the other."""

    def __init__(self, width: int, *, fused: bool) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True) if fused else None

    def forward(self, x: Tensor) -> Tensor:
        y = x.flatten(2).transpose(1, 2)
        if self.attention is None:
            return nn.functional.scaled_dot_product_attention(y, y, y)
        made: Tensor = self.attention(y, y, y, need_weights=False)[0]
        return made


def test_counts_are_those_of_the_shapes() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1),
        nn.Conv2d(8, 16, 3, padding=1, groups=4),
        nn.ConvTranspose2d(16, 6, 2, 2),
        nn.Flatten(2),
        nn.Linear(144, 5),
    )
    sample = torch.randn(1, 3, 12, 12)
    assert count_work(model, sample).whole_macs == by_hooks(model, sample)


@pytest.mark.parametrize("fused", [False, True])
def test_attention_is_counted_however_it_is_run(fused: bool) -> None:
    tokens, width = 30, 8
    macs = 2 * tokens**2 * width + (4 * tokens * width**2 if fused else 0)
    assert count_work(Attending(width, fused=fused), torch.randn(1, width, 5, 6)).whole_macs == macs


class Detector(nn.Module):
    def __init__(self, *, optical: bool, **more: Any) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4))
        stages = [nn.Conv2d(a, b, 3, 2, 1) for a, b in pairwise((4, 6, 8, 10))]
        self.backbone = Backbone(stem, stages, (6, 8, 10), (4, 8, 16))
        if optical:
            hybrid = HybridConfig.parse({"stages": [2], "mixing": "dense", "fit": "chip"} | more)
            replace_stages(self.backbone, CHIP, hybrid, sample_shape=(64, 64))
        self.neck = nn.Conv2d(10, 12, 1)
        self.head = nn.Conv2d(12, 5, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self.head(self.neck(self.backbone(images)[-1]))
        return made


SAMPLE = torch.randn(1, 3, 64, 64)
STEM, FIRST, SECOND, THIRD = 27 * 4 * 32**2, 36 * 6 * 16**2, 54 * 8 * 8**2, 72 * 10 * 4**2
ENDS = (10 * 12 + 12 * 5 * 9) * 4**2


def test_parts_of_an_electronic_detector_by_hand() -> None:
    cost = hybrid_cost(Detector(optical=False), SAMPLE)
    per_mac = GPU_BATCH_1.energy_per_mac.value
    assert cost.published["macs"] == STEM + FIRST + SECOND + THIRD
    assert cost.published["parameters"] == (27 * 4 + 4) + 8 + (36 * 6 + 6) + (54 * 8 + 8) + (72 * 10 + 10)
    assert cost.parts["electronic stages"] == pytest.approx((STEM + FIRST + SECOND + THIRD) * per_mac)
    assert cost.parts["neck and head"] == pytest.approx(ENDS * per_mac)
    assert (cost.frames, cost.optical_paths, cost.optical_parameters) == (0, 0, 0)
    assert cost.boundaries[0].energy_j == cost.boundaries[3].energy_j
    assert not any(word in sentence for sentence in cost.assumptions for word in ("mask", "camera"))


def test_parts_of_a_hybrid_detector_by_hand() -> None:
    """One stage 8 -> 10 on maps of 8 x 8: 80 paths in turn, each with 3 masks of 8 x 8 of its own."""
    model = Detector(optical=True)
    cost = hybrid_cost(model, SAMPLE)
    conv = model.backbone.stages[2].block0.path.conv
    beside = (conv.weight.numel() + 8 * 10) * 4**2
    per_mac, paths, pixels = GPU_BATCH_1.energy_per_mac.value, 80, 64
    assert (cost.frames, cost.optical_paths, cost.optical_parameters) == (paths, paths, paths * 3 * 64)
    assert cost.published["macs"] == STEM + FIRST + SECOND
    assert cost.published["stages"] == 2
    assert cost.parts["electronics of optical stages"] == pytest.approx(beside * per_mac)
    assert cost.parts["sums over channels"] == pytest.approx(paths * pixels * per_mac)
    assert cost.parts["masks"] == pytest.approx(paths * 3 * 64 * DEVICES.mask_energy.value)
    assert cost.parts["modulators"] == pytest.approx(paths * pixels * DEVICES.modulator_energy.value)
    assert cost.parts["cameras"] == pytest.approx(paths * pixels * DEVICES.camera_energy.value)
    light = paths * pixels * pixel_light(CHIP)
    assert cost.parts["laser light"] == pytest.approx(light)
    assert cost.parts["laser wall plug"] == pytest.approx(light * (1 / DEVICES.laser_efficiency.value - 1))
    assert cost.electronic_parameters == sum(p.numel() for p in model.parameters()) - paths * 3 * 64


def test_latency_by_hand() -> None:
    cost = hybrid_cost(Detector(optical=True), SAMPLE)
    only, optics, converters, plug, whole = (boundary.latency_s for boundary in cost.boundaries)
    assert optics - only == pytest.approx(80 / DEVICES.mask_rate.value)
    slowest = min(DEVICES.mask_rate.value, DEVICES.camera_rate.value, DEVICES.modulator_rate.value)
    assert converters - only == pytest.approx(80 / slowest)
    assert plug == converters
    assert whole - plug == pytest.approx(ENDS / GPU_BATCH_1.mac_rate.value)


def test_boundaries_hold_one_another_and_add_up() -> None:
    cost = hybrid_cost(Detector(optical=True), SAMPLE)
    energies = [boundary.energy_j for boundary in cost.boundaries]
    assert energies == sorted(energies) and len(set(energies)) == 5
    assert energies[-1] == pytest.approx(sum(cost.parts.values()))
    assert cost.published["energy_j"] < energies[0]
    assert [boundary.name for boundary in cost.boundaries] == [
        "electronics that remain",
        "+ optics",
        "+ converters",
        "+ laser wall plug",
        "+ neck and head",
    ]


@pytest.mark.parametrize(("parallel", "frames"), [(1, 80), (7, 12), (80, 1), (1000, 1), (None, 1)])
def test_paths_side_by_side_take_fewer_frames(parallel: int | None, frames: int) -> None:
    model = Detector(optical=True)
    cost = hybrid_cost(model, SAMPLE, parallel_paths=parallel)
    assert cost.frames == frames
    assert (cost.parts["masks"] > 0) == (frames > 1), "masks that stay take no energy"
    rate = DEVICES.camera_rate.value
    assert cost.latencies["all paths side by side"] < cost.total.latency_s or frames == 1
    if frames == 1:
        assert cost.total.latency_s == pytest.approx(cost.latencies["all paths side by side"])
        assert cost.boundaries[2].latency_s - cost.boundaries[0].latency_s == pytest.approx(1 / rate)
    assert cost.parts["cameras"] == pytest.approx(hybrid_cost(model, SAMPLE).parts["cameras"])


@pytest.mark.parametrize(
    ("mixing", "groups", "paths", "masks", "sums"),
    [("dense", 1, 80, 80, 80), ("grouped", 2, 40, 40, 40), ("depthwise", 1, 8, 8, 80), ("shared", 1, 8, 1, 80)],
)
def test_mixings_by_hand(mixing: str, groups: int, paths: int, masks: int, sums: int) -> None:
    cost = hybrid_cost(Detector(optical=True, mixing=mixing, groups=groups), SAMPLE)
    assert (cost.optical_paths, cost.frames, cost.optical_parameters) == (paths, paths, masks * 3 * 64)
    assert cost.parts["sums over channels"] == pytest.approx(sums * 64 * GPU_BATCH_1.energy_per_mac.value)
    # paths that share one set of masks take turns without rewriting it
    assert (cost.parts["masks"] == 0) == (mixing == "shared")


def test_light_of_a_pixel_is_its_photons_behind_all_losses() -> None:
    chip = CHIP.replace(photons=1000.0, transmission=0.5)
    photon = 1.98644586e-25 / chip.wavelength  # h c over the wavelength
    loss = 10 ** ((DEVICES.modulator_loss.value + DEVICES.optics_loss.value) / 10) * 2**3
    assert pixel_light(chip) == pytest.approx(1000 / DEVICES.quantum_efficiency.value * photon * loss, rel=1e-6)
    full = DEVICES.full_well.value / 1000
    assert pixel_light(chip.replace(photons=None)) == pytest.approx(full * pixel_light(chip))


def test_a_layer_called_twice_shows_its_frames_twice() -> None:
    layer = DiffractiveConv2d(4, 4, CHIP)
    once = hybrid_cost(nn.Sequential(layer), torch.randn(1, 4, 6, 5))
    twice = hybrid_cost(nn.Sequential(layer, layer), torch.randn(1, 4, 6, 5))
    assert (once.frames, twice.frames, twice.optical_parameters) == (16, 32, once.optical_parameters)
    assert twice.parts["cameras"] == pytest.approx(2 * 16 * 30 * DEVICES.camera_energy.value)
    assert twice.parts["masks"] == pytest.approx(2 * once.parts["masks"])
    assert "no stages" in once.published["note"]


def test_the_model_is_left_as_it_was_also_after_a_failure() -> None:
    model = Detector(optical=True).train()
    model.backbone.freeze(1)
    modes = [module.training for module in model.modules()]
    hybrid_cost(model, SAMPLE)
    with pytest.raises(RequestError, match=r"32 x 32 at `backbone.stages.2.block0.path.optics` is larger"):
        hybrid_cost(model, torch.randn(1, 3, 256, 256))
    assert [module.training for module in model.modules()] == modes
    assert not any(m._forward_hooks or m._forward_pre_hooks or "forward" in m.__dict__ for m in model.modules())
    assert torch.backends.mha.get_fastpath_enabled()
    assert model.eval()(SAMPLE).abs().sum() > 0


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ValueError, match="batch of 2"):
        hybrid_cost(nn.Conv2d(3, 3, 1), torch.randn(2, 3, 4, 4))
    with pytest.raises(RequestError, match="`parallel_paths` is 0"):
        hybrid_cost(nn.Conv2d(3, 3, 1), torch.randn(1, 3, 4, 4), parallel_paths=0)


def test_file_holds_every_case_and_each_constant_once() -> None:
    costs = {name: hybrid_cost(Detector(optical=light), SAMPLE) for name, light in (("base", False), ("light", True))}
    content = json.loads(json.dumps(hybrid_file(costs), allow_nan=False))
    assert [entry["case"] for entry in content["cases"]] == ["base", "light"]
    assert {"published", "optical_parameters", "optical_paths", "frames", "boundaries", "parts", "assumptions"} <= set(
        content["cases"][1]
    )
    names = [(row["chip"], row["name"]) for row in content["constants"]]
    assert len(set(names)) == len(names)
    assert {name for chip, name in names if chip == "small"} == {name for name, _ in DEVICES}
    assert all(row["source"] and row["unit"] for row in content["constants"])
    assert all(sentence.endswith(".") for sentence in content["cases"][1]["assumptions"])


def test_an_edge_machine_at_its_peak_spends_less_than_a_measured_one() -> None:
    """275 sparse TOPS at 60 W: a quarter of that in multiply-adds."""
    assert EDGE_PEAK.energy_per_mac.value == pytest.approx(0.8727e-12, rel=1e-3)
    assert EDGE_PEAK.spend(68.75e12).latency_s == pytest.approx(1.0)
    assert GPU_BATCH_1.energy_per_mac.value == pytest.approx(122.2e-12, rel=1e-3)
    assert math.isclose(GPU_BATCH_1.spend(4.028e9).latency_s, 10.97e-3)
