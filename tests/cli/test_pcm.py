"""The story of a chip that wears out, from the command line, and what becomes of bad requests."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SMALL = ["quick=true", "model.width=12", "writes.strength=20"]


def lightloom(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from lightloom.cli import main; main()", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LIGHTLOOM_KERNELS": "off", "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def answer(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return parsed


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = lightloom("run", "pcm/digits", *SMALL, "--out", folder, "--json")
    assert result.returncode == 0, result.stderr[-3000:]
    return folder


def writes(folder: Path) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((folder / "writes.json").read_text())["cases"]
    return cases


def test_training_and_order_spare_writes_and_keep_the_accuracy(run: Path) -> None:
    summary = json.loads((run / "summary.json").read_text())
    accuracy = summary["values"]
    assert list(accuracy) == ["electronic", "programmed", "learned", "reordered"]
    assert accuracy["reordered"] == accuracy["learned"] > 0.9
    first, *_, last = writes(run)
    assert last["levels"] < first["levels"] / 5
    assert last["first_failure"] > 2 * first["first_failure"]
    page = (run / "report.html").read_text()
    assert f"{round(last['levels']):,}".split(",")[0] in page


def test_an_order_is_found_again_for_other_hardware(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "any"
    result = lightloom("reorder", run, "chip.scope=any", "wear.inferences=1e9", "--out", folder, "--json")
    assert result.returncode == 0, result.stderr[-2000:]
    assert writes(folder)[3]["levels"] < writes(run)[3]["levels"]
    assert writes(folder)[3]["fails_meanwhile"]
    assert writes(folder)[3]["cells_failed"] > 0
    result = lightloom("evaluate", folder, "--json")
    accuracy = answer(result)["values"]
    assert accuracy["reordered"] == accuracy["learned"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("chip.base=1.2", "chip.base"),
        ("chip.base=0", "chip.base"),
        ("chip.levels=65", "chip.levels"),
        ("chip.levels=1", "chip.levels"),
        ("chip.transmissions=[1.0,0.5]", "levels=2"),
        ("chip.sharing=rows", "row_private"),
        ("chip.weight_bits=4", "unknown key"),
        ("writes.reference=mean", "row_mean"),
        ("chip.technology=ring", "technology"),
        ("sampling=l2ight-vgg8", "measures one by one"),
    ],
)
def test_a_chip_that_cannot_be_is_refused(change: str, said: str) -> None:
    result = lightloom("run", "pcm/digits", change, "--print-config")
    assert result.returncode == 2, result.stdout
    assert said.lower() in result.stderr.lower()


@pytest.mark.parametrize("change", ["chip.levels=8", "chip.block_size=12"])
def test_weights_of_another_chip_are_refused(run: Path, tmp_path: Path, change: str) -> None:
    result = lightloom("evaluate", run, change, "--out", tmp_path / "copy")
    assert result.returncode == 2
    assert "arrays of 16 x 16 cells with 16 levels" in result.stderr or "another model" in result.stderr


def test_meshes_are_not_reordered() -> None:
    result = lightloom("run", "onchip/digits", "stages=[train,program,reorder]", "--print-config")
    assert result.returncode == 2
    assert "reorder" in result.stderr
    assert "cells are written" in result.stderr


def test_meshes_are_not_written() -> None:
    result = lightloom("run", "onchip/digits", "writes.strength=1", "--print-config")
    assert result.returncode == 2
    assert "cells that are written, and `l2ight` has none" in result.stderr


def test_the_bench_asks_for_a_run_with_cells(tmp_path: Path) -> None:
    result = lightloom("bench", "writes", "--run", tmp_path)
    assert result.returncode == 2
    assert "run folder" in result.stderr
