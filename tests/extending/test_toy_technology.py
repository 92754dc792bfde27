"""A technology of another package goes from `lightloom run` to report and export; nothing of Lightloom names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .conftest import Program

STATES = ["electronic", "programmed", "calibrated", "mapped", "learned"]
PACKAGE = Path(__file__).parents[2] / "src" / "lightloom"


class Run(NamedTuple):
    """A run on the toy's chip, and the program that made it."""

    folder: Path
    lightloom: Program


@pytest.fixture(scope="module")
def run(installed: Callable[[str], Program], tmp_path_factory: pytest.TempPathFactory) -> Run:
    lightloom, folder = installed("toy_technology"), tmp_path_factory.mktemp("runs") / "run"
    changes = ["quick=true", "model.width=8", "learn.epochs=1", "chip=toy", "chip.gain_std=1.0", "chip.block_size=4"]
    lightloom("run", "onchip/digits", *changes, "--out", folder)
    return Run(folder, lightloom)


def accuracies(folder: Path) -> dict[str, float]:
    states: dict[str, dict[str, Any]] = json.loads((folder / "evaluation.json").read_text())["states"]
    return {state: float(measured["accuracy"]) for state, measured in states.items()}


def test_the_specimen_spoils_the_network_and_its_own_calibration_mends_it(run: Run) -> None:
    accuracy = accuracies(run.folder)
    assert list(accuracy) == STATES
    assert accuracy["programmed"] < accuracy["electronic"] - 0.1
    assert accuracy["calibrated"] == pytest.approx(accuracy["electronic"], abs=0.02)
    bench = json.loads((run.folder / "bench.json").read_text())
    assert [row["calls"] for row in bench["calibrated"]["instruments"]] == [8] * len(bench["calibrated"]["instruments"])
    assert bench["calibrated"]["calls"] == 8 * len(bench["calibrated"]["instruments"]) > 0
    layers = json.loads((run.folder / "layers.json").read_text())
    for layer in (layer for layer in layers if layer["converted"]):
        assert layer["technology"] == "toy"
        assert layer["errors"]["calibrated"] < layer["errors"]["programmed"] / 10


def test_its_cost_and_its_name_are_in_the_report(run: Run) -> None:
    cost = json.loads((run.folder / "cost.json").read_text())
    assert "A toy multiplier loses 0.1 dB and takes no room." in cost["assumptions"]
    assert cost["counts"]["calls"] > 0 and all(part["energy_j"] > 0 for part in cost["boundaries"])
    page = (run.folder / "report.html").read_text()
    assert "toy" in page and "0.1 dB" in page
    config = (run.folder / "config.yaml").read_text()
    assert "technology: toy" in config and "gain_std: 1.0" in config


def test_it_is_exported_and_loaded_by_what_serves_every_technology(run: Run, tmp_path: Path) -> None:
    exported = run.lightloom("export", run.folder, "--formats", "folder,settings", "--out", tmp_path / "out")
    assert exported["folder"]["difference"] == 0
    script = tmp_path / "read.py"
    script.write_text(
        "import sys, torch\n"
        "from pathlib import Path\n"
        "from lightloom import export, nn\n"
        "from lightloom.pipeline.context import RunContext\n"
        "from lightloom.pipeline.run_folder import RunFolder\n"
        "model = RunContext(RunFolder.open(Path(sys.argv[1]))).network('learned')\n"
        "settings = export.read_settings(Path(sys.argv[2]) / 'settings')\n"
        "again = export.load(Path(sys.argv[2]) / 'model', model)\n"
        "for name, layer in nn.optical_layers(again).items():\n"
        "    assert layer.chip.technology == 'toy' and layer.core.specimen.seed == 0\n"
        "    assert torch.equal(settings[f'{name}.realised.weight'], layer.core.weight())\n"
        "    assert torch.equal(settings[f'{name}.commanded.trims'], layer.core.trims)\n"
        "print(len(settings))\n"
    )
    result = run.lightloom.run(script, run.folder, tmp_path / "out")
    assert result.returncode == 0, result.stderr[-2000:]
    assert int(result.stdout) == 3 * exported["settings"]["layers"] > 0


def test_it_is_swept_and_compared_with_the_built_in_ones(run: Run, tmp_path: Path) -> None:
    axes = ["--over", "chip=toy,noems", "--over", "chip.gain_std=0.1,1.0"]
    options = ["--specimens", "2", "--images", "40", "--out", tmp_path / "sweep"]
    swept = run.lightloom("explore", run.folder, *axes, *options)
    assert not swept["failed"]
    points = {point["label"]: point for point in swept["points"]}
    assert {point["technology"] for point in points.values()} == {"toy", "mesh"}
    assert any("`gain_std` of toy" in text for text in swept["assumptions"])
    assert points["toy, gain std 0.1"]["accuracy"] > points["toy, gain std 1"]["accuracy"]


def test_what_it_cannot_do_is_refused_before_anything_is_trained(run: Run, tmp_path: Path) -> None:
    command = "from lightloom.cli import main; main()"
    changes = ["quick=true", "chip=toy", "stages=[train,program,reorder]"]
    refused = run.lightloom.run("-c", command, "run", "onchip/digits", *changes, "--out", tmp_path / "run")
    assert refused.returncode == 2
    assert "reorder" in refused.stderr
    assert not (tmp_path / "run").exists()


def test_nothing_of_lightloom_names_it() -> None:
    texts = [path.read_text() for path in PACKAGE.rglob("*.py")]
    assert not any("lightloom_toy" in text for text in texts)
