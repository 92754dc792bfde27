"""All formats in one call, each only where it fits."""

from pathlib import Path

import pytest
import torch

from lightloom import chips, export, nn
from lightloom.common.errors import RequestError
from lightloom.common.marks import MARK

MESH = chips.preset("thermo-optic", chips.MeshChip).replace(block_size=4)


def model_on(chip: chips.Chip) -> torch.nn.Module:
    return nn.convert(torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 3)), chip).model


def test_every_format_says_what_it_wrote(tmp_path: Path) -> None:
    told = export.export(model_on(MESH), tmp_path / "out", ["folder", "onnx", "netlist", "phases"], torch.randn(2, 6))
    assert {name: Path(one["path"]).name for name, one in told.items()} == {
        name: export.known_formats()[name] for name in ("folder", "onnx", "netlist", "phases")
    }
    for one in told.values():
        path = Path(one["path"])
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file() and p.name != MARK]
        assert one["files"] == len(files) and one["bytes"] == sum(file.stat().st_size for file in files)
    assert told["folder"]["difference"] == 0 and told["folder"]["layers"] == 2
    assert told["netlist"]["blocks"] == 2 * 2 + 1 * 2
    again = export.export(model_on(MESH), tmp_path / "out", ["phases", "netlist"], layers="2", blocks=1)
    assert again["netlist"]["files"] == 2
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        MARK,
        *(export.known_formats()[name] for name in ("folder", "onnx", "netlist", "phases")),
    }


def test_crossbars_have_levels(tmp_path: Path) -> None:
    chip = chips.preset("elight")
    told = export.export(model_on(chip), tmp_path, ["pcm", "folder", "pcm"])
    assert told["pcm"]["layers"] == 2 and list(told) == ["pcm", "folder"]
    assert set(export.read_pcm_levels(tmp_path / "levels")) == {"0", "2"}


@pytest.mark.parametrize(
    ("formats", "chip", "told"),
    [
        (["folders"], MESH, "Did you mean `folder`"),
        ([], MESH, "Name a format"),
        (["onnx"], MESH, "takes a sample"),
        (["pcm"], MESH, "phase-change crossbars"),
        (["netlist"], chips.preset("elight"), "on a mesh"),
        (["phases"], chips.preset("elight"), "on a mesh"),
    ],
)
def test_what_does_not_fit_is_said(tmp_path: Path, formats: list[str], chip: chips.Chip, told: str) -> None:
    with pytest.raises(RequestError, match=told):
        export.export(model_on(chip), tmp_path, formats)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("chip", [MESH, chips.preset("elight")], ids=["mesh", "pcm"])
def test_settings_of_any_technology_are_plain_tensors(tmp_path: Path, chip: chips.Chip) -> None:
    model = model_on(chip)
    nn.install(model, 5)
    counted = export.export(model, tmp_path, ["settings"])
    assert counted["settings"]["layers"] == 2
    tensors = export.read_settings(tmp_path / "settings")
    for name, layer in nn.optical_layers(model).items():
        torch.testing.assert_close(tensors[f"{name}.realised.weight"], layer.core.weight().detach(), rtol=0, atol=0)
        for setting, tensor in layer.core.state().items():
            assert torch.equal(tensors[f"{name}.commanded.{setting}"], tensor)


def test_an_electronic_twin_has_no_settings(tmp_path: Path) -> None:
    model = model_on(MESH)
    nn.switch(model, "weight")
    with pytest.raises(RequestError, match=r'electronic twin .* `nn.switch\(model, "usv"\)`'):
        export.write_settings(model, tmp_path / "settings")
    assert not (tmp_path / "settings").exists()
