"""Verbs on finished work: sweeps, single layers, exports, two runs together; and two technologies in one run."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SMALL = ["train.epochs=8", "learn.epochs=2", "model.width=6", "data.limit=300"]
PLACES = "places={conv1: elight}"


def lightloom(*arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lightloom.cli import main; main()", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LIGHTLOOM_KERNELS": "off", "COLUMNS": "200"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert result.returncode == code, result.stderr[-3000:]
    return result


def answer(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return parsed


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits with the first layer on crossbars and the rest on meshes."""
    folder = tmp_path_factory.mktemp("runs") / "mixed"
    lightloom("run", "onchip/digits", *SMALL, PLACES, "--out", folder, "--json")
    return folder


def test_one_network_on_two_technologies_is_calibrated_and_learns(run: Path) -> None:
    layers = json.loads((run / "layers.json").read_text())
    assert [layer["technology"] for layer in layers if layer["converted"]][:2] == ["pcm", "mesh"]
    accuracy = json.loads((run / "summary.json").read_text())["values"]
    assert accuracy["programmed"] < 0.5  # the meshes' biases are unknown
    assert accuracy["calibrated"] > accuracy["electronic"] - 0.1
    assert accuracy["learned"] > accuracy["electronic"] - 0.1
    calibrated = json.loads((run / "bench.json").read_text())["calibrated"]["instruments"]
    assert {"blocks", "arrays"} <= {key for instrument in calibrated for key in instrument}
    cost = json.loads((run / "cost.json").read_text())
    assert {"phase shifters", "cell writes"} <= set(cost["parts"])


def test_a_place_that_is_none_is_refused(tmp_path: Path) -> None:
    told = lightloom("run", "onchip/digits", "places={conv9: elight}", "--out", tmp_path / "a", *SMALL, code=1 + 1)
    assert "conv9" in told.stderr
    told = lightloom("run", "onchip/digits", "places={conv1: elihgt}", "--print-config", code=2)
    assert "elight" in told.stderr
    told = lightloom("run", "onchip/digits", "places=elight", "--print-config", code=2)
    assert "places={LAYER: CHIP}" in told.stderr


def test_a_sweep_over_chips_gives_a_front_and_goes_on(run: Path, tmp_path: Path) -> None:
    axes = ["--over", "chip.block_size=4,8", "--over", "chip.gamma_std=0,0.02"]
    common = ["explore", run, "--specimens", "3", "--images", "60", "--out", tmp_path / "sweep", "--json"]
    first = answer(lightloom(*common, *axes[:2]))
    assert len(first["points"]) == 2
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "sweep" / "points").glob("*.json")}
    result = answer(lightloom(*common, *axes))
    assert len(result["points"]) == 4
    assert any(point["pareto"] for point in result["points"])
    noise = {point["settings"]["chip.gamma_std"]: point["accuracy"] for point in result["points"]}
    assert noise[0] >= noise[0.02]
    with (tmp_path / "sweep" / "explore.csv").open() as table:
        assert len(list(csv.DictReader(table))) == 4
    assert len(kept) == 2
    assert "Pareto" in (tmp_path / "sweep" / "report.html").read_text()
    assert any("`places` is left aside" in note for note in result["notes"])
    others = answer(lightloom(*common, *axes[:2], "--seed", "50"))["points"]
    assert {point["id"] for point in others}.isdisjoint(point["id"] for point in result["points"])


def test_a_sweep_over_what_is_not_there_is_refused(run: Path, tmp_path: Path) -> None:
    told = lightloom("explore", run, "--over", "chip.blok_size=4", "--out", tmp_path / "a", code=2)
    assert "block_size" in told.stderr
    for wrong in (("--over", "chip.block_size=1"), ("--images", "0"), ("--specimens", "0")):
        lightloom("explore", "onchip/digits", *wrong, "--out", tmp_path / "c", code=2)
        assert not (tmp_path / "c").exists()  # told before a network is trained
    told = lightloom("explore", "hybrid/shapes", "--out", tmp_path / "b", code=2)
    assert "onchip/digits" in told.stderr


def test_single_layers_are_scanned_and_a_proposal_made(run: Path, tmp_path: Path) -> None:
    scan = answer(
        lightloom("sensitivity", run, "--specimens", "2", "--images", "60", "--out", tmp_path / "s", "--json")
    )
    assert len(scan["rows"]) >= 3
    assert set(scan["proposal"]) <= {row["name"] for row in scan["rows"]}
    assert (tmp_path / "s" / "report.html").exists()


def test_every_format_is_written(run: Path, tmp_path: Path) -> None:
    formats = "folder,onnx,netlist,phases,pcm"
    written = answer(lightloom("export", run, "--formats", formats, "--state", "mapped", "--out", tmp_path, "--json"))
    assert written["state"] == "mapped"
    assert (tmp_path / "phases.csv").exists() or list(tmp_path.rglob("phases.csv"))
    told = lightloom("export", run, "--formats", "onx", "--out", tmp_path / "b", code=2)
    assert "onnx" in told.stderr
    told = lightloom("export", run, "--state", "lerned", "--out", tmp_path / "c", code=2)
    assert "learned" in told.stderr


def test_two_runs_stand_side_by_side(run: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    lightloom("evaluate", run, "chip.name=other", "--out", other, "--json")
    page = Path(answer(lightloom("compare", run, other, "--out", tmp_path / "c.html", "--json"))["comparison"])
    assert "programmed" in page.read_text()
    told = lightloom("compare", run, tmp_path, "--out", tmp_path / "d.html", code=2)
    assert str(tmp_path) in told.stderr
