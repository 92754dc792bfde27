"""A task in a package of its own, from the command line to report and export, and packages that are broken."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Install = Callable[[str], Any]
"""Installs a package by the name of its folder, and gives what runs programs where it is installed."""


def test_a_task_of_another_package_runs_to_report_and_export(installed: Install, tmp_path: Path) -> None:
    lightloom, run = installed("toy_task"), tmp_path / "run"
    names = [recipe["name"] for recipe in lightloom("recipes")["recipes"]]
    assert {"toy/sine", "onchip/digits"} <= set(names)
    summary = lightloom("run", "toy/sine", "quick=true", "data.samples=256", "--out", run)
    assert summary["metric"]["name"] == "R2"
    values = summary["values"]
    assert list(values) == ["electronic", "programmed", "calibrated", "mapped", "learned"]
    assert values["electronic"] > 0.9
    assert values["programmed"] < 0.5
    assert values["mapped"] > 0.8
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert set(evaluation["states"]["electronic"]) == {"loss", "MSE", "R2"}
    page = (run / "report.html").read_text()
    assert "R2" in page
    assert 'id="h-squared-errors"' in page
    assert "electronic &lt;" in page
    assert "accuracy" not in page.lower().replace("bench.accuracy", ""), "nobody calls R2 so"
    assert lightloom("export", run, "--formats", "folder,onnx,netlist", "--out", tmp_path / "out")["state"] == "learned"
    assert lightloom("evaluate", run)["values"] == values


def test_a_run_whose_package_is_not_there_is_refused_by_name(installed: Install, tmp_path: Path) -> None:
    lightloom = installed("toy_technology")
    (tmp_path / "config.yaml").write_text("recipe: toy/sine\ntask: regression\n")
    for words, reason in (
        (("report", tmp_path), "There is no task `regression`"),
        (("run", "toy/sine"), "There is no recipe `toy/sine`"),
    ):
        answer = lightloom.run("-m", "lightloom", *words)
        assert answer.returncode == 2
        assert reason in " ".join(answer.stderr.split())


_SUBCLASS = "from lightloom_sine import RegressionTask\nclass Other(RegressionTask):\n    name = {}\nTASK = Other()\n"
BROKEN = {
    "no-import": ("raise RuntimeError('the licence has expired')", "RuntimeError: the licence has expired"),
    "no-task": ("TASK = 3", "it is a `int`, no `Task`"),
    "no-name": (_SUBCLASS.format("''"), "it has no name"),
    "taken": (_SUBCLASS.format("'language'"), "the name `language` is taken"),
    "other-config": (_SUBCLASS.format("'other'"), "its config says `task='regression'`"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_package_is_named_and_the_rest_works(kind: str, installed: Install) -> None:
    text, reason = BROKEN[kind]
    lightloom = installed("toy_task")
    site = Path(lightloom.environment["PYTHONPATH"].split(os.pathsep)[0])
    (site / "broken.py").write_text(text)
    notes = site / "broken-1.dist-info"
    notes.mkdir()
    (notes / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (notes / "entry_points.txt").write_text("[lightloom.tasks]\nzzz = broken:TASK\n")
    answer = lightloom.run("-m", "lightloom", "recipes")
    assert answer.returncode == 0
    assert {"toy/sine", "lm/chars"} <= set(answer.stdout.split())
    warning = " ".join(answer.stderr.split())
    assert "plug-in `zzz`" in warning
    assert reason in warning
