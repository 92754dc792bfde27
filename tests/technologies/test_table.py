"""Technologies of other packages: what fits works like a built-in one, what does not is named and leaves the rest."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from lightloom import chips
from lightloom.chips import TECHNOLOGIES, AnyChip, Chip, Technology, technology_of
from lightloom.cli import app
from lightloom.common.config import Section
from lightloom.common.errors import RequestError
from lightloom.nn import TensorCore, convert, install

TOY = "lightloom_toy:TOY"
Register = Callable[..., None]


class Holder(Section):
    """A config with a chip."""

    chip: AnyChip


def test_a_plug_in_is_like_a_built_in_technology(register: Register) -> None:
    register(toy=TOY)
    chip = chips.preset("toy")
    assert chip.technology == "toy"
    assert technology_of(chip) is TECHNOLOGIES["toy"]
    assert set(TECHNOLOGIES) == {"mesh", "pcm", "toy"}
    written = Holder(chip=chip).model_dump(mode="json")
    assert written["chip"]["gain_std"] == 0.1
    assert Holder.parse(json.loads(json.dumps(written))).chip == chip
    with pytest.raises(RequestError, match="gain_std"):
        Holder.parse({"chip": {"technology": "toy", "name": "mine", "gain_std": -1}})


def test_layers_go_on_it_and_on_its_specimens(register: Register) -> None:
    register(toy=TOY)
    model = nn.Sequential(nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 3))
    x = torch.randn(5, 12)
    made = convert(model, "toy").model
    assert torch.allclose(made(x), model(x), atol=1e-6)
    install(made, 3)
    assert not torch.allclose(made(x), model(x), atol=1e-2)


def test_the_command_line_lists_it(register: Register) -> None:
    register(toy=TOY)
    listed = CliRunner().invoke(app, ["chips"])
    assert "toy:" in listed.stdout
    assert "toy-exact" in listed.stdout
    shown = CliRunner().invoke(app, ["chips", "toy-exact", "--json"])
    assert json.loads(shown.stdout.splitlines()[-1])["gain_std"] == 0.0


BROKEN = {
    "no_module": ("brought_nowhere:TOY", "", "brought_nowhere"),
    "raises": ("brought_raises:TOY", "raise OSError('no licence')", "no licence"),
    "no_attribute": ("brought_empty:TOY", "", "TOY"),
    "no_record": ("brought_text:TOY", "TOY = 'toy'", "no `Technology`"),
    "no_name": (
        "brought_unnamed:TOY",
        "from lightloom.chips import Technology\nfrom lightloom_toy import ToyChip\nTOY = Technology('', ToyChip)",
        "no name",
    ),
    "taken": (
        "brought_taken:TOY",
        "from lightloom.chips import MeshChip, Technology\nTOY = Technology('mesh', MeshChip)",
        "taken",
    ),
    "other_name": (
        "brought_other:TOY",
        "from lightloom.chips import Technology\nfrom lightloom_toy import ToyChip\nTOY = Technology('ring', ToyChip)",
        "technology='toy'",
    ),
    "no_chip": (
        "brought_chipless:TOY",
        "from lightloom.chips import Technology\nTOY = Technology('ring', int)",
        "no subclass",
    ),
    "preset_taken": (
        "brought_preset:TOY",
        "from lightloom.chips import Technology\nfrom lightloom_toy import ToyChip\n"
        "TOY = Technology('toy', ToyChip, presets={'noems': ToyChip(name='noems')})",
        "name of one of `mesh`",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_does_not_fit_is_named_and_the_rest_works(
    case: str, register: Register, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    value, code, reason = BROKEN[case]
    if code or case == "no_attribute":
        (tmp_path / f"{value.partition(':')[0]}.py").write_text(code)
    register(**{case: value, "zebra": TOY})
    with caplog.at_level(logging.WARNING, logger="lightloom"):
        assert set(TECHNOLOGIES) == {"mesh", "pcm", "toy"}
    (warning,) = caplog.records
    assert case in warning.getMessage()
    assert reason in warning.getMessage()
    with pytest.raises(RequestError, match=f"`{case}` cannot be used") as refused:
        TECHNOLOGIES.find(case)
    assert reason in str(refused.value)
    with pytest.raises(RequestError, match=case):
        chips.preset("a chip of that plug-in")
    assert chips.preset("toy").technology == "toy"
    assert chips.preset("l2ight").technology == "mesh"


def test_a_chip_that_nobody_registered_says_how(register: Register) -> None:
    register()
    from lightloom_toy import ToyChip

    with pytest.raises(RequestError, match="entry point of `lightloom"):
        technology_of(ToyChip(name="mine"))


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("", "has no `core`"),
        ("lightloom.nn.nowhere:Core", "cannot be loaded"),
        ("lightloom.nn:Nothing", "cannot be loaded"),
        ("lightloom.nn:OpticalLinear", "no subclass"),
        ("lightloom.nn:cores", "no subclass"),
    ],
)
def test_a_facet_that_is_not_there_says_what_was_expected(place: str, reason: str) -> None:
    technology = Technology("ring", Chip, core=place)
    with pytest.raises(RequestError, match=reason) as refused:
        technology.load("core", TensorCore)
    assert "TensorCore" in str(refused.value) or "module:Class" in str(refused.value)


def test_without_a_facet_the_default_stands_in() -> None:
    assert Technology("ring", Chip).load("cost", dict, dict) is dict
