"""Small additions, made as the tables of `docs/contributing.md` say, and found where a user looks for them."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from torch import nn
from typer.testing import CliRunner

from lightloom import bench, recipes
from lightloom.cli import app
from lightloom.cli.app import AsJson, verb
from lightloom.cli.output import answer, show_yaml
from lightloom.config import RunConfig
from lightloom.data import dataset_info, describe
from lightloom.pipeline.run import run
from lightloom.recipes import onchip
from lightloom.report import Run, Section, figure, sections
from lightloom.report.pages import run as run_page
from lightloom.report.plots.states import metric_plot
from lightloom.tasks.classification.objective import Classify

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "lightloom"
TINY = ["stages=[train,evaluate,report]", "train.epochs=1", "data.limit=40", "model.width=2"]


def lightloom(*arguments: str | Path) -> dict[str, Any]:
    result = CliRunner().invoke(app, [*map(str, arguments), "--json"])
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return content


def test_a_verb_is_a_function_decorated_by_verb() -> None:
    before = list(app.registered_commands)
    try:

        @verb()
        def shout(word: str, as_json: AsJson = False) -> None:
            """Say a word loudly."""
            answer(lambda: {"word": word.upper()}, as_json, show_yaml)

        assert lightloom("shout", "light", "-v") == {"word": "LIGHT"}
        help_text = CliRunner().invoke(app, ["--help"]).stdout
        assert "shout" in help_text and "Say a word loudly." in help_text
    finally:
        app.registered_commands[:] = before
    assert CliRunner().invoke(app, ["shout", "light"]).exit_code == 2


def test_a_bench_is_a_function_and_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("lightloom.bench.half")
    vars(module)["half"] = lambda seed=0: {"ratio": 0.5, "seed": seed}
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(bench.BENCHES, "half", "half:half")
    assert lightloom("bench", "half", "--seed", "3") == {"ratio": 0.5, "seed": 3}
    result = CliRunner().invoke(app, ["bench", "half", "--blocks", "2"])
    assert result.exit_code == 2 and "does not vary `blocks`" in result.stderr


def tiny(wide: bool = False) -> RunConfig:
    """A network that is trained on a handful of digits."""
    config: RunConfig = onchip.digits(quick=True)
    return config.replace(recipe="mine/tiny", specimen=5 if wide else 4)


def test_a_recipe_is_a_function_and_its_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(recipes.RECIPES, "mine/tiny", tiny)
    row = next(row for row in lightloom("recipes")["recipes"] if row["name"] == "mine/tiny")
    assert row["what"].startswith("A network that is trained on a handful of digits")
    assert "wide=False" in row["switches"]
    summary = lightloom("run", "mine/tiny", "wide=true", *TINY, "--out", tmp_path / "run")
    assert summary["recipe"] == "mine/tiny"
    assert json.loads((tmp_path / "run" / "specimen.json").read_text())["seed"] == 5


def states_again(run: Run) -> Iterator[Section]:
    """A section with a plot of the primary metric."""
    plot = metric_plot(run)
    if plot is not None:
        mine = dataclasses.replace(plot, name="states-again")
        yield Section("States once more", "states-again", figure(mine), plots=(mine,))


def test_a_section_with_a_plot_is_a_builder_in_the_list(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run_page, "REST", (*sections.REST, states_again))
    run(recipes.resolve("onchip/digits", TINY), tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert '<h2 id="h-states-again">' in page
    assert (tmp_path / "run" / "plots" / "states-again.svg").exists()
    assert page.index('id="h-states"') < page.index('id="h-states-again"')


def test_a_metric_is_one_more_value_of_the_objective(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    evaluate = Classify.evaluate

    def with_error(self: Classify, model: nn.Module, data: Any) -> Mapping[str, float]:
        metrics = evaluate(self, model, data)
        return {**metrics, "error_rate": 1 - metrics["accuracy"]}

    monkeypatch.setattr(Classify, "evaluate", with_error)
    summary = run(recipes.resolve("onchip/digits", TINY), tmp_path / "run")
    state = json.loads((tmp_path / "run" / "evaluation.json").read_text())["states"]["electronic"]
    assert state["error_rate"] == pytest.approx(1 - state["accuracy"])
    assert summary["metric"]["name"] == "accuracy"
    epoch = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert "validation_error_rate" in epoch


def test_a_data_set_is_a_record_of_the_table(
    monkeypatch: pytest.MonkeyPatch, small_files: Path, small_datasets: None, tmp_path: Path
) -> None:
    mine = dataclasses.replace(describe("mnist"), name="mine", title="Mine", mirror=None)
    monkeypatch.setattr(dataset_info, "_INFOS", (*dataset_info._INFOS, mine))
    (tmp_path / "mine").symlink_to(small_files / "mnist")
    changes = ["data=mine", "stages=[train,evaluate]", "train.epochs=1", "model.width=2", f"data.root={tmp_path}"]
    summary = run(recipes.resolve("onchip/digits", changes), tmp_path / "run")
    assert list(summary["values"]) == ["electronic"]


PATHS = re.compile(r"`((?:[a-z0-9_]+/)+(?:[\w.-]+)?|[a-z_]+/[\w/.-]+)`")


@pytest.mark.parametrize("page", ["house.md", "contributing.md"])
def test_every_file_that_the_pages_name_is_there(page: str) -> None:
    names = PATHS.findall((ROOT / "docs" / page).read_text())
    names = [name for name in names if "NAME" not in name and ("." in name or name.endswith("/"))]
    assert len(names) > 25
    places = [ROOT if name.startswith(("tests/", "docs/", "src/")) else PACKAGE for name in names]
    missing = [name for place, name in zip(places, names, strict=True) if not (place / name).exists()]
    assert not missing
