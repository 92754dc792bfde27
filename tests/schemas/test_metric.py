"""Metrics keep their own names in files, and files of earlier versions are read."""

import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError

from lightloom import schemas
from lightloom.common.errors import RequestError
from lightloom.schemas import Evaluation, Metric, Summary, SweepRow


def test_a_metric_says_which_way_it_is_better() -> None:
    bits = Metric(name="bits_per_character", percent=False, unit="bit", higher_is_better=False)
    assert bits.words == "bits per character"
    assert bits.gain(4.0, 1.5) == 2.5 and Metric(name="AP").gain(0.5, 0.25) == -0.25
    assert bits.best({"a": 2.0, "b": 1.0}) == "b" and Metric(name="AP").best({"a": 2.0, "b": 1.0}) == "a"


def test_an_evaluation_is_written_and_read_as_it_is(tmp_path: Path) -> None:
    states = {"electronic": {"AP": 0.5, "AP50": 0.75}, "programmed": {"AP": 0.125, "AP50": 0.25}}
    evaluation = Evaluation(metric=Metric(name="AP"), states=states)
    schemas.write(tmp_path / "evaluation.json", evaluation)
    assert "accuracy" not in (tmp_path / "evaluation.json").read_text()
    again = schemas.read(tmp_path / "evaluation.json", Evaluation, strict=True)
    assert again == evaluation and again.values == {"electronic": 0.5, "programmed": 0.125}


def test_an_evaluation_has_its_primary_metric_in_every_state() -> None:
    with pytest.raises(ValidationError, match="`mapped` lacks the metric `NDS`"):
        Evaluation(metric=Metric(name="NDS"), states={"mapped": {"mAP": 0.5}})


def test_a_value_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="finite"):
        Evaluation(metric=Metric(name="AP"), states={"mapped": {"AP": math.nan}})
    assert not list(tmp_path.iterdir())


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    path = tmp_path / "evaluation.json"
    path.write_text(json.dumps({"chance": 0.1, "states": {"electronic": {"accuracy": 0.9, "loss": 0.2}}}))
    evaluation = schemas.read(path, Evaluation, strict=True)
    assert evaluation.metric == Metric(name="accuracy", chance=0.1) and evaluation.values == {"electronic": 0.9}

    row = schemas.parse(SweepRow, {"case": "a", "measure": "AP", "accuracy": 0.25, "figures": {"AP50": 0.5}})
    assert row.metric.name == "AP" and row.value == 0.25 and row.metrics == {"AP50": 0.5, "AP": 0.25}
    assert schemas.parse(SweepRow, {"case": "a", "accuracy": 0.75}).metrics == {"accuracy": 0.75}

    summary = schemas.parse(Summary, {"accuracy": {"mapped": 0.5}, "chance": 0.1})
    assert summary.metric == Metric(name="accuracy", chance=0.1) and summary.values == {"mapped": 0.5}


@pytest.mark.parametrize("content", [{"metric": "AP"}, {"metric": "AP", "states": {"a": 1}}, [], {"states": {}}])
def test_a_damaged_file_is_refused_by_its_name(tmp_path: Path, content: object) -> None:
    (tmp_path / "evaluation.json").write_text(json.dumps(content))
    with pytest.raises(RequestError, match=r"evaluation\.json"):
        schemas.read(tmp_path / "evaluation.json", Evaluation, strict=True)


def test_a_missing_file_is_refused_or_replaced(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="is missing"):
        schemas.read(tmp_path / "evaluation.json", Evaluation, strict=True)
    assert schemas.read(tmp_path / "sweep.json", list[SweepRow], []) == []
