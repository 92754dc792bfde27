"""What every technology keeps, those of other packages included: one test for each promise, over the whole table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from lightloom import cost
from lightloom.chips import TECHNOLOGIES, AnyChip, Chip, technology_of
from lightloom.common.config import Section
from lightloom.cost import CostModel, cost_of
from lightloom.nn import TensorCore, convert, install, switch

TOY = Path(__file__).parents[1] / "extending" / "toy_technology"
SHAPES = [(5, 7, 1), (9, 9, 1), (20, 11, 2)]


class Holder(Section):
    """A config with a chip."""

    chip: AnyChip


@pytest.fixture(autouse=True)
def _with_the_toy(register: Callable[..., None]) -> None:
    register(toy="lightloom_toy:TOY")


def _names() -> list[str]:
    """Every chip of the table, and those of the toy, which registers only while tests run."""
    return [*(name for technology in TECHNOLOGIES.values() for name in technology.presets), "toy", "toy-exact"]


def small(name: str) -> Chip:
    """The preset with small blocks, so that a matrix takes several."""
    chip = next(t.presets[name] for t in TECHNOLOGIES.values() if name in t.presets)
    return chip.replace(block_size=4)


def core_of(chip: Chip, rows: int, columns: int, groups: int = 1) -> TensorCore:
    core: Any = technology_of(chip).load("core", TensorCore)
    made: TensorCore = core(chip, rows, columns, groups, "layer")
    return made


@pytest.mark.parametrize("name", _names())
def test_a_chip_comes_back_from_the_values_of_a_file(name: str) -> None:
    chip = small(name)
    written = yaml.safe_load(yaml.safe_dump(Holder(chip=chip).model_dump(mode="json"), sort_keys=False))
    assert Holder.parse(written).chip == chip
    assert chip.technology == technology_of(chip).name
    assert type(chip) is technology_of(chip).chip
    assert set(chip.summary_fields) | set(chip.hidden_errors) | set(chip.details) <= set(type(chip).model_fields)


@pytest.mark.parametrize("name", _names())
def test_an_ideal_chip_has_no_errors(name: str) -> None:
    ideal = small(name).ideal()
    assert ideal.input_bits is None
    assert ideal.output_bits is None
    assert not any(getattr(ideal, field) for field in ideal.hidden_errors)
    assert ideal.specimen(0).alike
    core = core_of(ideal, 6, 10)
    core.program(torch.randn(6, 10) / 4)
    before = core.weight().detach()
    core.install(ideal.specimen(3))
    assert torch.equal(core.weight().detach(), before)
    assert torch.allclose(before, core.ideal_weight(), atol=1e-5)


@pytest.mark.parametrize(("rows", "columns", "groups"), SHAPES)
@pytest.mark.parametrize("name", _names())
def test_a_core_is_programmed_and_read_back(name: str, rows: int, columns: int, groups: int) -> None:
    core = core_of(small(name).ideal(), rows, columns, groups)
    target = torch.randn(groups * rows, columns) / 4
    core.program(target)
    assert core.weight().shape == target.shape
    # a crossbar of 16 levels rounds to half of a step of its gain
    assert core.error(target) < 0.05
    settings = {key: value.clone() for key, value in core.state().items()}
    core.program(core.weight().detach())
    assert settings.keys() == core.state().keys()
    assert core.modes[0] != "weight" and "weight" in core.modes
    effective = core.weight().detach().clone()
    core.switch("weight")
    assert torch.allclose(core.weight().detach(), effective, atol=1e-6)
    with pytest.raises(ValueError, match="has the modes"):
        core.switch("no such mode")


@pytest.mark.parametrize(("rows", "columns", "groups"), SHAPES)
@pytest.mark.parametrize("name", _names())
def test_counts_are_known_before_a_core_is_built(name: str, rows: int, columns: int, groups: int) -> None:
    chip = small(name)
    one, many = (chip.counts(rows, columns, groups, vectors) for vectors in (1, 100))
    assert core_of(chip, rows, columns, groups).counts(100) == many
    assert one.cores == many.cores >= 1
    assert many.calls > one.calls >= one.cores
    assert many.conversions_in == 100 * one.conversions_in > 0
    assert many.conversions_out == 100 * one.conversions_out > 0


@pytest.mark.parametrize("name", _names())
def test_specimens_together_are_those_one_by_one(name: str) -> None:
    chip = small(name)
    core = core_of(chip, 6, 10)
    core.program(torch.randn(6, 10) / 4)
    seeds = (0, 3, 7)
    torch.manual_seed(1)
    together = core.specimen_weights(seeds)
    assert together.shape == (3, 6, 10)
    for seed, weight in zip(seeds, together, strict=True):
        core.install(chip.specimen(seed))
        if not core.noisy:
            assert torch.allclose(core.weight().detach(), weight, atol=1e-5)
    if not core.noisy:
        assert torch.allclose(together[0], together[1]) == chip.specimen(0).alike


@pytest.mark.parametrize("name", _names())
def test_a_bill_is_written(name: str) -> None:
    chip = small(name)
    model, image = nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, 3)), torch.randn(1, 1, 4, 4)
    assert isinstance(cost_of(chip), CostModel)
    planned, programmed = cost.estimate(model, image, chip=chip), cost.estimate(convert(model, chip).model, image)
    for bill in (planned, programmed):
        assert all(row.energy_j > 0 and row.latency_s > 0 for row in bill.boundaries)
        assert sum(bill.parts.values()) == pytest.approx(bill.total.energy_j)
        assert {row.name for row in bill.layers} == {"1", "3"}
        assert set(cost_of(chip).assumptions) <= set(bill.assumptions)
        assert bill.link_budget[0]["technology"] == chip.technology
    assert set(cost_of(chip).expected_settings) <= set(planned.assumptions)


@pytest.mark.parametrize("name", _names())
def test_layers_train_on_a_specimen(name: str) -> None:
    chip = small(name)
    model = convert(nn.Linear(10, 6), chip).model
    install(model, 2)
    model(torch.randn(3, 10)).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.requires_grad]
    assert gradients
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
    switch(model, "weight")
    assert model.core.mode == "weight"
