"""Recipes of training with light: published schedules, their cases, and a tiny form of each from files to report."""

import json
from pathlib import Path

import pytest

from lightloom.common.errors import RequestError
from lightloom.pipeline.comparison import trainings
from lightloom.pipeline.run import run
from lightloom.recipes import RECIPES, resolve

OPTICAL = sorted(recipe for recipe in RECIPES if recipe.startswith("optical/"))
COMPARISONS = [recipe for recipe in OPTICAL if recipe != "optical/on-chip"]
CNNS = {"optical/mnist-cnn": 30, "optical/fmnist-cnn": 40, "optical/kmnist-cnn": 40, "optical/emnist-cnn": 40}


@pytest.mark.parametrize("recipe", ["optical/mnist-mlp", "optical/od-sweep", *CNNS])
def test_full_forms_have_the_published_schedule(recipe: str) -> None:
    config = resolve(recipe, ["schedule=published"])
    train = config.train
    assert (train.batch_size, train.lr, train.weight_decay, train.schedule) == (64, 5e-4, 0, "constant")
    assert train.epochs == CNNS.get(recipe, 50)
    assert (config.criterion, config.data.pixels, config.sweep.seeds) == ("mse", "unit", 5)
    assert resolve(recipe).train.epochs < train.epochs
    # one thing changes at a time: every case has the same loss, but where the loss is the case
    assert all("cross-entropy" in case.name for case in config.sweep.cases if "criterion" in " ".join(case.changes))


@pytest.mark.parametrize("recipe", COMPARISONS)
def test_every_case_can_be_trained_as_it_is_asked_for(recipe: str) -> None:
    asked = trainings(resolve(recipe))
    assert len({training.key for training in asked}) == len(asked)
    assert {"probe", "exact"} & {t.config.optics.gradient for t in asked if t.config.model.activation == "absorber"}


def test_depths_of_the_sweep_are_those_of_its_absorbers() -> None:
    for training in trainings(resolve("optical/od-sweep")):
        if training.case.x is not None:
            absorber = training.config.optics.absorber
            assert absorber.optical_depth == training.case.x
            assert absorber.form == training.case.series.split(",")[0]
    only = trainings(resolve("optical/od-sweep", ["medium=thin"]))
    assert not any("propagated" in training.case.name for training in only)


@pytest.mark.parametrize("over", ["photons", "probe", "detector", "loss", "weight-bits", "error-bits"])
def test_the_noise_sweep_goes_over_one_imperfection(over: str) -> None:
    base, *placed = (t for t in trainings(resolve("optical/noise-sweep", [f"over={over}"])) if "ReLU" not in t.name)
    assert not base.config.optics.light.active
    moved = [t.config.optics.light for t in placed if t.case.series == "thin" and t.seed == 0]
    assert len(set(moved)) == len(moved) > 3
    assert all(light.probe_intensity > 0 for light in moved)


@pytest.mark.parametrize(
    ("recipe", "wrong", "near"),
    [
        ("optical/noise-sweep", "over=photon", "photons"),
        ("optical/od-sweep", "medium=thick", "thin"),
        ("optical/mnist-mlp", "schedule=publish", "published"),
        ("optical/mnist-cnn", "schedule=shrt", "short"),
        ("optical/deep", "network=cn", "cnn"),
    ],
)
def test_an_unknown_value_of_a_switch_is_answered_by_the_nearest(recipe: str, wrong: str, near: str) -> None:
    with pytest.raises(RequestError, match=f"`{wrong}`.*`{near}`"):
        resolve(recipe, [wrong])


@pytest.mark.parametrize("recipe", COMPARISONS)
@pytest.mark.usefixtures("small_datasets")
def test_a_tiny_form_runs_from_files_to_report(recipe: str, small_files: Path, tmp_path: Path) -> None:
    own = [] if resolve(recipe).data.name == "digits" else [f"data.root={small_files}"]
    shrunk = [
        "quick=true",
        *own,
        "model.width=4",
        "data.limit=32",
        "train.epochs=1",
        "train.batch_size=16",
        "device=cpu",
    ]
    config = resolve(recipe, shrunk)
    summary = run(config, tmp_path / "run")
    assert list(summary["values"]) == [case.name for case in config.sweep.cases]
    assert len(json.loads((tmp_path / "run/sweep.json").read_text())) == len(config.sweep.cases)
    assert (tmp_path / "run/report.html").exists()


def test_light_trains_a_manufactured_mesh(tmp_path: Path) -> None:
    changes = ["quick=true", "model.width=32", "train.epochs=8", "learn.epochs=2", "device=cpu"]
    summary = run(resolve("optical/on-chip", changes), tmp_path / "run")
    found = summary["values"]
    assert list(found) == ["electronic", "programmed", "calibrated", "mapped", "learned"]
    assert found["programmed"] < 0.5 < found["mapped"]
    assert found["learned"] > 0.5
    losses = json.loads((tmp_path / "run/evaluation.json").read_text())["states"]
    last = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()][-1]
    assert losses["learned"]["loss"] == pytest.approx(last["validation_loss"], rel=0.3)
