"""Comparisons: their cases, their stage, its resumption and repetition, and what the page is given."""

import json
import statistics
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from lightloom.common.errors import RequestError, WorkError
from lightloom.config import Case, SweepConfig
from lightloom.data import load
from lightloom.learn import TrainConfig, engine, recorder
from lightloom.nn import AllOptical, MeshCore, SaturableAbsorber, cores
from lightloom.pipeline.comparison import overruled, summarise, trainings
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run import repeat, run
from lightloom.pipeline.run_folder import RunFolder
from lightloom.recipes import resolve
from lightloom.schemas import SweepRow
from lightloom.tasks.classification.config import ClassificationConfig
from lightloom.tasks.classification.network import build_network, interface_of, with_optical_backward

SMALL = ["data.limit=200", "model.width=8", "train.epochs=2", "train.batch_size=50", "device=cpu"]

sweep_module = import_module("lightloom.pipeline.stages.sweep")


def small(*changes: str, seeds: int = 2) -> ClassificationConfig:
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
    values = [("a", value) for value in (0.9, 0.8, 0.7)] + [("b", 0.5)]
    summary = summarise([SweepRow(case=case, metrics={"accuracy": value}) for case, value in values], sweep)
    first, second = summary.cases
    assert (first.case, second.case) == ("a", "b")
    assert first.value == pytest.approx(0.8)
    assert first.std == pytest.approx(statistics.stdev([0.9, 0.8, 0.7]))
    assert (second.std, second.seeds) == (0.0, 1)
    assert (summary.x, summary.scale) == ("depth", "log")


def test_a_comparison_leaves_rows_curves_angles_and_a_page(tmp_path: Path) -> None:
    summary = run(small(), tmp_path / "run")
    found = rows(tmp_path / "run")
    assert [(row["case"], row["seed"]) for row in found] == [(t.case.name, t.seed) for t in trainings(small())]
    assert all(row["epochs"] == 2 and 0 < row["metrics"]["accuracy"] <= 1 for row in found)
    mean = statistics.fmean(row["metrics"]["accuracy"] for row in found if row["case"] == "ReLU")
    assert summary["values"]["ReLU"] == pytest.approx(mean)
    (curve,) = json.loads((tmp_path / "run/curves.json").read_text())["curves"]
    assert len(curve["x"]) == len(curve["output"]) == len(curve["exact"]) == len(curve["probe"])
    angles = rows(tmp_path / "run", "angles.json")
    assert {row["case"] for row in angles} == {"thin, probe"}  # ReLU has nothing to compare
    assert {(row["seed"], row["epoch"]) for row in angles} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert "thin, probe" in (tmp_path / "run/report.html").read_text()


def noisy() -> ClassificationConfig:
    """ReLU, and light with shot noise."""
    config = resolve("optical/digits", [*SMALL, "sweep.seeds=1"])
    cases = [case for case in config.sweep.cases if case.name in ("ReLU", "light")]
    return config.replace(sweep=config.sweep.replace(cases=tuple(cases)))


def timeless(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in found]


@pytest.mark.parametrize("saves", [1, 2, 3, 4])
def test_a_stopped_comparison_goes_on_where_it_was_and_ends_the_same(
    saves: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(noisy(), tmp_path / "whole")
    save, count = recorder.save_training, 0

    def stop(*given: Any) -> None:
        nonlocal count
        save(*given)
        count += 1
        if count == saves:
            raise WorkError("stopped")

    monkeypatch.setattr(recorder, "save_training", stop)
    with pytest.raises(WorkError, match="stopped"):
        run(noisy(), tmp_path / "cut")
    assert len(rows(tmp_path / "cut")) == (saves - 1) // 2 if saves > 2 else not (tmp_path / "cut/sweep.json").exists()
    monkeypatch.undo()
    torch.manual_seed(7)  # what was drawn before the stop is forgotten
    run(noisy(), tmp_path / "cut", resume=True)
    assert timeless(rows(tmp_path / "cut")) == timeless(rows(tmp_path / "whole"))
    assert rows(tmp_path / "cut", "angles.json") == rows(tmp_path / "whole", "angles.json")


def test_cases_whose_names_are_nearly_alike_are_trained_apart(tmp_path: Path) -> None:
    cases = (
        Case(name="a < 1", changes=("model.activation=relu",)),
        Case(name="a > 1", changes=("model.activation=tanh", "model.width=4")),
        Case(name="long " * 60, changes=("model.activation=relu",)),
    )
    run(small(seeds=1).replace(sweep=SweepConfig(cases=cases)), tmp_path / "run")
    found = rows(tmp_path / "run")
    assert found[0]["parameters"] > found[1]["parameters"]
    assert len(list((tmp_path / "run/checkpoints").glob("*-best.safetensors"))) == 3


def test_repeating_a_comparison_forgets_the_one_before(tmp_path: Path) -> None:
    run(small(seeds=1), tmp_path / "run")
    before = rows(tmp_path / "run")
    repeat(tmp_path / "run", "sweep", ["train.epochs=1"])
    after = rows(tmp_path / "run")
    assert [row["epochs"] for row in before] == [2, 2]
    assert [row["epochs"] for row in after] == [1, 1]
    repeat(tmp_path / "run", "report")
    assert rows(tmp_path / "run") == after


def test_nothing_is_forgotten_for_a_request_that_cannot_be(tmp_path: Path) -> None:
    run(small(seeds=1), tmp_path / "run")
    before, config = rows(tmp_path / "run"), (tmp_path / "run/config.yaml").read_text()
    for stage, change, words in (
        ("train", [], "compares trainings, so it has the stages `sweep`, `report`"),
        ("sweep", ["optics.light.photons=9", "model.name=cnn-s"], "The case `ReLU`"),
    ):
        with pytest.raises(RequestError, match=words):
            repeat(tmp_path / "run", stage, change)
    assert rows(tmp_path / "run") == before
    assert (tmp_path / "run/config.yaml").read_text() == config
    with pytest.raises(RequestError, match="compares nothing"):
        run(resolve("optical/on-chip", [*SMALL, "stages=[train]"]), tmp_path / "other")
        repeat(tmp_path / "other", "sweep")


def test_an_unfinished_comparison_has_a_report_that_is_made_anew_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train, seen = sweep_module.train_case, 0

    def stop_at_the_second(*given: Any) -> Any:
        nonlocal seen
        seen += 1
        if seen == 2:
            raise WorkError("stopped")
        return train(*given)

    monkeypatch.setattr(sweep_module, "train_case", stop_at_the_second)
    with pytest.raises(WorkError, match="stopped"):
        run(small(seeds=1), tmp_path / "run")
    monkeypatch.undo()
    assert list(repeat(tmp_path / "run", "report")["values"]) == ["ReLU"]
    assert list(run(small(seeds=1), tmp_path / "run", resume=True)["values"]) == ["ReLU", "thin, probe"]
    assert "thin, probe" in (tmp_path / "run/report.html").read_text()


def test_a_case_that_cannot_be_is_named_before_anything_is_trained(tmp_path: Path) -> None:
    config = small(seeds=1)
    wrong = Case(name="intensities", changes=("model.activation=absorber", "optics.absorber=intensifier"))
    config = config.replace(sweep=SweepConfig(cases=(*config.sweep.cases, wrong)))
    with pytest.raises(RequestError, match=r"case `intensities`.*an intensity is 0 or above"):
        run(config, tmp_path / "run")
    assert not (tmp_path / "run/sweep.json").exists()


def test_changes_that_cases_overrule_are_told() -> None:
    config = resolve("optical/digits", ["optics.absorber.optical_depth=30", "train.epochs=3", "optics.gradient=probe"])
    depth, gradient = overruled(config)
    assert depth == (
        "`optics.absorber.optical_depth` has no effect where a case sets it itself: "
        "`propagated, exact`, `propagated, probe`."
    )
    assert "`thin, exact`" in gradient
    shared = Case(name="other seed", changes=("seed=3",))
    with pytest.raises(RequestError, match=r"case `other seed`.*changes `seed`, which all cases share"):
        trainings(config.replace(sweep=SweepConfig(cases=(shared,))))


def test_a_network_is_built_as_its_optics_ask() -> None:
    splits = load("digits", pixels="unit", limit=100)
    base = resolve("optical/digits", ["model.width=8"]).replace(sweep=SweepConfig())

    def built(**optics: Any) -> torch.nn.Module:
        model = base.model.replace(activation="absorber")
        config = base.replace(model=model, optics=base.optics.replace(**optics))
        return with_optical_backward(build_network(config, interface_of(splits), splits), config)

    plain = built(gradient="probe")
    assert {m.gradient for m in plain.modules() if isinstance(m, SaturableAbsorber)} == {"probe"}
    assert torch.equal(plain.hidden1.weight, built().hidden1.weight)  # the seed alone decides the first weights
    field = splits.train.images.flatten(1) * built(settle=2.0).input_scale.factor
    entering = (field @ plain.hidden1.weight.T).detach()
    assert float(entering.square().mean().sqrt()) == pytest.approx(2 * plain.act1.half_transmission_field, rel=1e-3)
    limited = built(weight_range=(-0.05, 0.05))
    assert float(limited.hidden1.weight.detach().abs().max()) <= 0.05 + 1e-8
    assert isinstance(built(light={"photons": 100.0}), AllOptical)
    assert len(cores(built(on_chip=True), MeshCore)) == 3


def test_light_needs_layers_that_it_can_pass() -> None:
    splits = load("digits", limit=100)
    config = resolve("onchip/digits", ["model.width=2", "optics.light.photons=10"])
    with pytest.raises(RequestError, match="`norm1`"):
        with_optical_backward(build_network(config, interface_of(splits), splits), config)


def test_a_network_is_measured_with_the_light_that_it_was_trained_with(tmp_path: Path) -> None:
    lossy = ["stages=[train,evaluate]", "optics.light.loss_db=6", "optics.light.photons=null", "model.width=32"]
    lossy += ["train.epochs=12", "device=cpu"]
    run(resolve("optical/on-chip", lossy), tmp_path / "run")
    measured = json.loads((tmp_path / "run/evaluation.json").read_text())["states"]["electronic"]
    work = RunContext(RunFolder.open(tmp_path / "run"))
    dark = work.task.measure(
        work.network("electronic"), work.config, work.data.test
    ).metrics  # as if no light were lost
    assert measured["accuracy"] > 0.8
    assert measured["loss"] < 0.1 * dark["loss"]


def test_first_weights_make_up_for_the_light_that_is_lost() -> None:
    splits = load("digits", pixels="unit", limit=100)
    config = resolve("optical/on-chip", ["model.width=8", "optics.light.photons=null", "optics.light.loss_db=6"])
    model = build_network(config, interface_of(splits), splits)
    field = splits.train.images[:512]
    with torch.no_grad():
        for layer in model:
            if isinstance(layer, SaturableAbsorber):
                assert float(field.square().mean().sqrt()) == pytest.approx(layer.half_transmission_field, rel=1e-3)
            field = layer(field) * (10**-0.3 if isinstance(layer, torch.nn.Linear) else 1)


def test_weight_decay_leaves_the_medium_alone(tmp_path: Path) -> None:
    absorber = SaturableAbsorber(30.0, trainable=["optical_depth"])
    optimizer = engine._optimizer(torch.nn.Sequential(torch.nn.Linear(3, 3), absorber), TrainConfig(weight_decay=0.5))
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays[id(absorber.log_depth)] == 0
    assert sorted(decays.values()) == [0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("recipe", "changes", "words"),
    [
        (
            "optical/digits",
            ["optics.on_chip=true", "optics.weight_norm=l2"],
            "leave `weight_range` and `weight_norm` out",
        ),
        ("optical/digits", ["optics.weight_range=[1, 0]"], "from the least to the greatest"),
        ("onchip/digits", ["optics.light.photons=10", "sampling=l2ight-vgg8"], r"leave it out with `optics\.light`"),
        ("optical/digits", ["optics.absorber=vapor"], "`vapour`"),
        ("optical/on-chip", ["optics.on_chip=true"], "leave `program` out"),
        ("optical/on-chip", ["optics.weight_norm=l2"], r"leave `optics\.weight_range`"),
        ("onchip/digits", ["optics.gradient=probe"], r"the network has none; add `model\.activation=absorber`"),
        ("optical/digits", ["optics.absorber=intensifier", "optics.trainable=[optical_depth]"], "can train"),
        ("optical/digits", ["sweep.cases=[]"], "no cases at all"),
        ("optical/digits", ["sweep.cases=[{name: ''}]", "sweep.baseline=''"], "at least 1"),
        ("optical/digits", ["sweep.cases=[{name: a, x: 0}]", "sweep.baseline=''", "sweep.scale=log"], "0 or less"),
    ],
)
def test_requests_that_contradict_themselves_are_refused(recipe: str, changes: list[str], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        resolve(recipe, changes)
