"""What stages write is what the records say, to the last key."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from lightloom import schemas
from lightloom.schemas import DetectionFile, EpochRow, Exploration, PrecisionFile, WritesFile

BOX = {"box": [0.0, 0.0, 2.0, 1.0], "label": 0}


def test_plain_values_are_written_as_they_are(tmp_path: Path) -> None:
    content = {"classes": ["a"], "images": [{"file": "x.jpg", "width": 2, "height": 1, "truth": [BOX]}]}
    schemas.write_plain(tmp_path / "detections.json", DetectionFile, content)
    assert json.loads((tmp_path / "detections.json").read_text()) == content
    curve = {"case": "a", "class": "all", "iou": 0.5, "recall": [0.0, 1.0], "precision": [1.0, 0.5]}
    schemas.write_plain(tmp_path / "pr.json", PrecisionFile, {"curves": [curve]})
    schemas.write_plain(tmp_path / "explore.json", Exploration, {"points": [{"id": "a", "yield": 0.5}]})


def test_a_key_that_the_record_does_not_know_is_refused(tmp_path: Path) -> None:
    content = {"classes": ["a"], "images": [{"file": "x.jpg", "width": 2, "height": 1, "truth": [BOX | {"colour": 1}]}]}
    with pytest.raises(ValueError, match=r"has no field `images\.0\.truth\.0\.colour`"):
        schemas.write_plain(tmp_path / "detections.json", DetectionFile, content)
    assert not list(tmp_path.iterdir())


def test_a_value_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="cases"):
        schemas.write_plain(tmp_path / "writes.json", WritesFile, {"cases": []})
    assert not list(tmp_path.iterdir())


def test_a_line_has_the_fields_that_somebody_set(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    schemas.append(path, EpochRow.model_validate({"stage": "train", "epoch": 1, "validation_AP": 0.5, "lr": 0.1}))
    line = json.loads(path.read_text())
    assert line == {"stage": "train", "epoch": 1, "validation_AP": 0.5, "lr": 0.1}
    row = EpochRow.model_validate(line)
    assert row.validation == {"AP": 0.5} and row.primary("AP") == 0.5 and row.primary("NDS") is None
    assert EpochRow.model_validate({"stage": "a", "epoch": 1, "validation_accuracy": 0.25}).primary("AP") == 0.25


@pytest.mark.parametrize("kind", [kind for name in schemas.__all__ if isinstance(kind := getattr(schemas, name), type)])
def test_every_field_is_described_in_a_sentence(kind: type[schemas.Record]) -> None:
    for name, field in kind.model_fields.items():
        assert field.description, f"{kind.__name__}.{name} has no docstring"
        assert field.description[0].isupper() or field.description[0] in "[k|`", f"{kind.__name__}.{name}"
        assert field.description.endswith("."), f"{kind.__name__}.{name}: {field.description}"
