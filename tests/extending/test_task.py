"""A task in a package of its own, from the command line to report and export, and packages that are broken."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Install = Callable[[str], None]
Write = Callable[[str, str, Mapping[str, str], str], None]
Call = Callable[[Sequence[str]], CompletedProcess[str]]

TASKS = "lightloom.tasks"


def test_a_task_of_another_package_runs_to_report_and_export(install: Install, lightloom: Call, tmp_path: Path) -> None:
    install("toy_task")
    listed = lightloom(["recipes", "--json"])
    assert "toy/sine" in listed.stdout
    assert "onchip/digits" in listed.stdout
    run = tmp_path / "run"
    done = lightloom(["run", "toy/sine", "quick=true", "data.samples=256", "--out", str(run), "--json"])
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
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
    assert "accuracy" not in page.lower()
    out = tmp_path / "exported"
    exported = lightloom(["export", str(run), "--formats", "folder,onnx,netlist", "--out", str(out), "--json"])
    assert exported.returncode == 0, exported.stderr
    again = lightloom(["evaluate", str(run), "--json"])
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout.splitlines()[-1])["values"] == values


def test_a_run_whose_package_is_gone_is_refused_by_its_name(install: Install, lightloom: Call, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.yaml").write_text("recipe: toy/sine\ntask: regression\n")
    answer = lightloom(["report", str(folder)])
    assert answer.returncode == 2
    assert "There is no task `regression`" in answer.stderr
    answer = lightloom(["run", "toy/sine"])
    assert answer.returncode == 2
    assert "There is no recipe `toy/sine`" in answer.stderr


BROKEN = {
    "no-import": ("raise RuntimeError('the licence has expired')", "RuntimeError: the licence has expired"),
    "no-task": ("TASK = 3", "it is a `int`, no `Task`"),
    "no-name": (
        "from lightloom_sine import RegressionTask\nclass Nameless(RegressionTask):\n    name = ''\nTASK = Nameless()",
        "it has no name",
    ),
    "taken": (
        "from lightloom_sine import RegressionTask\nclass Another(RegressionTask):\n    name = 'language'\n"
        "TASK = Another()",
        "the name `language` is taken",
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_package_is_named_and_the_rest_works(
    kind: str, install: Install, write_plugin: Write, lightloom: Call
) -> None:
    text, reason = BROKEN[kind]
    install("toy_task")
    write_plugin("broken", TASKS, {"zzz": "broken:TASK"}, text)
    answer = lightloom(["recipes", "--json"])
    assert answer.returncode == 0, answer.stderr
    assert "toy/sine" in answer.stdout
    assert "lm/chars" in answer.stdout
    told = " ".join(answer.stderr.split())
    assert "The task plug-in `zzz`" in told
    assert reason in told
