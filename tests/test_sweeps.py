"""Comparisons: their cases, their stage, its resumption and repetition, and what the page is given."""

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch

from lightloom import learn, sweep_stages
from lightloom.common.errors import RequestError, WorkError
from lightloom.config import Case, RunConfig, SweepConfig
from lightloom.data import load
from lightloom.networks import build_network, lit
from lightloom.nn import AllOptical, MeshCore, SaturableAbsorber, cores
from lightloom.recipes import resolve
from lightloom.run import repeat, run
from lightloom.sweeps import summarise, trainings

SMALL = ["data.limit=200", "model.width=8", "train.epochs=2", "train.batch_size=50", "device=cpu"]


def small(*changes: str, seeds: int = 2) -> RunConfig:
    config = resolve("optical/digits", [*SMALL, f"sweep.seeds={seeds}", *changes])
    return config.replace(sweep=config.sweep.replace(cases=(config.sweep.cases[0], config.sweep.cases[3])))


def rows(folder: Path, name: str = "sweep.json") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / name).read_text())
    return found


def test_all_cases_with_one_seed_come_before_the_next_seed() -> None:
    asked = trainings(small())
    assert [training.name for training in asked] == [
        "ReLU, seed 0",
        "thin, probe, seed 0",
        "ReLU, seed 1",
        "thin, probe, seed 1",
    ]
    assert [training.config.model.activation for training in asked] == ["relu", "absorber"] * 2
    assert [training.config.seed for training in asked] == [0, 0, 1, 1]
    assert asked[1].config.optics.gradient == "probe"


def test_changes_that_do_not_fit_name_their_case() -> None:
    wrong = Case(name="typo", changes=("optics.gradint=probe",))
    with pytest.raises(RequestError, match=r"case `typo`.*`optics\.gradient`"):
        trainings(small().replace(sweep=SweepConfig(cases=(wrong,))))
    with pytest.raises(RequestError, match="nothing to compare"):
        trainings(small().replace(sweep=SweepConfig()))
    with pytest.raises(RequestError, match="two cases are called `a`"):
        SweepConfig.parse({"cases": [{"name": "a"}, {"name": "a"}]})
    with pytest.raises(RequestError, match=r"no case `ReLu`.*`ReLU`"):
        SweepConfig.parse({"cases": [{"name": "ReLU"}], "baseline": "ReLu"})


def test_means_and_spreads_are_of_the_sample() -> None:
    sweep = SweepConfig(cases=(Case(name="a"), Case(name="b"), Case(name="not yet")), x="depth", scale="log")
    found = [{"case": "a", "accuracy": value} for value in (0.9, 0.8, 0.7)] + [{"case": "b", "accuracy": 0.5}]
    told = summarise(found, sweep)
    assert [case["case"] for case in told["cases"]] == ["a", "b"]
    assert told["cases"][0]["accuracy"] == pytest.approx(0.8)
    assert told["cases"][0]["std"] == pytest.approx(statistics.stdev([0.9, 0.8, 0.7]))
    assert (told["cases"][1]["std"], told["cases"][1]["seeds"]) == (0.0, 1)
    assert (told["x"], told["scale"]) == ("depth", "log")


def test_a_comparison_leaves_rows_curves_angles_and_a_page(tmp_path: Path) -> None:
    summary = run(small(), tmp_path / "run")
    found = rows(tmp_path / "run")
    assert [(row["case"], row["seed"]) for row in found] == [(t.case.name, t.seed) for t in trainings(small())]
    assert all(row["epochs"] == 2 and 0 < row["accuracy"] <= 1 for row in found)
    mean = statistics.fmean(row["accuracy"] for row in found if row["case"] == "ReLU")
    assert summary["accuracy"]["ReLU"] == pytest.approx(mean)
    (curve,) = json.loads((tmp_path / "run/curves.json").read_text())["curves"]
    assert len(curve["x"]) == len(curve["output"]) == len(curve["exact"]) == len(curve["probe"])
    angles = rows(tmp_path / "run", "angles.json")
    assert {row["case"] for row in angles} == {"thin, probe"}  # ReLU has nothing to compare
    assert {(row["seed"], row["epoch"]) for row in angles} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert "thin, probe" in (tmp_path / "run/report.html").read_text()


def test_a_stopped_comparison_goes_on_where_it_was_and_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(small(), tmp_path / "whole")
    fit, count = learn.fit, 0

    def stop_at_the_third(*given: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        if count == 3:
            raise WorkError("stopped")
        return fit(*given, **more)

    monkeypatch.setattr(sweep_stages.learning, "fit", stop_at_the_third)
    with pytest.raises(WorkError, match="stopped"):
        run(small(), tmp_path / "cut")
    assert len(rows(tmp_path / "cut")) == 2
    monkeypatch.undo()
    run(small(), tmp_path / "cut", resume=True)

    def timeless(row: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in row.items() if key != "seconds"}

    assert [timeless(row) for row in rows(tmp_path / "cut")] == [timeless(row) for row in rows(tmp_path / "whole")]
    assert rows(tmp_path / "cut", "angles.json") == rows(tmp_path / "whole", "angles.json")


def test_repeating_a_comparison_forgets_the_one_before(tmp_path: Path) -> None:
    run(small(seeds=1), tmp_path / "run")
    before = rows(tmp_path / "run")
    repeat(tmp_path / "run", "sweep", ["train.epochs=1"])
    after = rows(tmp_path / "run")
    assert [row["epochs"] for row in before] == [2, 2]
    assert [row["epochs"] for row in after] == [1, 1]
    repeat(tmp_path / "run", "report")
    assert rows(tmp_path / "run") == after


def test_a_network_is_built_as_its_optics_ask() -> None:
    splits = load("digits", pixels="unit", limit=100)
    base = resolve("optical/digits", ["model.width=8"]).replace(sweep=SweepConfig())

    def built(**optics: Any) -> torch.nn.Module:
        model = base.model.replace(activation="absorber")
        config = base.replace(model=model, optics=base.optics.replace(**optics))
        return lit(build_network(config, splits), config)

    plain = built(gradient="probe")
    assert {m.gradient for m in plain.modules() if isinstance(m, SaturableAbsorber)} == {"probe"}
    assert torch.equal(plain.hidden1.weight, built().hidden1.weight)  # the seed alone decides the first weights
    field = splits.train.images.flatten(1) * built(settle=2.0).brightness.factor
    entering = (field @ plain.hidden1.weight.T).detach()
    assert float(entering.square().mean().sqrt()) == pytest.approx(2 * plain.act1.knee, rel=1e-3)
    limited = built(weight_range=(-0.05, 0.05))
    assert float(limited.hidden1.weight.detach().abs().max()) <= 0.05 + 1e-8
    assert isinstance(built(light={"photons": 100.0}), AllOptical)
    assert len(cores(built(on_chip=True), MeshCore)) == 3


def test_light_needs_layers_that_it_can_pass() -> None:
    splits = load("digits", limit=100)
    config = resolve("onchip/digits", ["model.width=2", "optics.light.photons=10"])
    with pytest.raises(RequestError, match="`norm1`"):
        lit(build_network(config, splits), config)


def test_requests_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(RequestError, match="leave `weight_range` and `weight_norm` out"):
        resolve("optical/digits", ["optics.on_chip=true", "optics.weight_norm=l2"])
    with pytest.raises(RequestError, match="from the least to the greatest"):
        resolve("optical/digits", ["optics.weight_range=[1, 0]"])
    with pytest.raises(RequestError, match=r"leave it out with `optics\.light`"):
        resolve("onchip/digits", ["optics.light.photons=10", "sampling=l2ight-vgg8"])
    with pytest.raises(RequestError, match="absorber"):
        resolve("optical/digits", ["optics.absorber=vapor"])
