from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lightloom.common.errors import RequestError
from lightloom.report import write_report
from lightloom.report.readers.run import flatten, read_run

CASE = {
    "state": "programmed",
    "order": "as it comes",
    "levels": 1,
    "worst_cell": 1,
    "first_failure": None,
    "one_percent_failed": None,
}


def test_an_epoch_done_twice_counts_once_and_the_later_one_stays(run_folder: Path) -> None:
    losses = [(1, 2.0), (2, 9.0), (2, 1.5), (3, 1.0)]
    lines = [json.dumps({"stage": "train", "epoch": epoch, "loss": loss}) + "\n" for epoch, loss in losses]
    (run_folder / "metrics.jsonl").write_text("".join(lines) + '{"stage": "train", "ep')  # the last was cut short
    assert [(epoch.epoch, epoch.loss) for epoch in read_run(run_folder).epochs] == [(1, 2.0), (2, 1.5), (3, 1.0)]


def test_leaves_have_dotted_names() -> None:
    assert dict(flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": {}})) == {"a.b": 1, "a.c.d": [2], "e": {}}


@pytest.mark.parametrize(("config", "chance"), [("n: 1", None), ("data: {classes: 4}", 0.25), ("classes: [a, b]", 0.5)])
def test_chance_follows_from_the_number_of_classes(run_folder: Path, config: str, chance: float | None) -> None:
    (run_folder / "config.yaml").write_text(config)
    assert read_run(run_folder).chance == chance


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("summary.json", '{"accuracy": ', "is not JSON"),
        ("summary.json", "[1, 2]", "does not hold"),
        ("summary.json", '{"accuracy": {"electronic": 98.1}}', "`accuracy` is 98.1"),
        ("layers.json", '[{"kind": "Linear"}]', "0.name"),
        ("layers.json", '[{"name": "a", "errors": {"programmed": -1}}]', "errors.programmed"),
        ("cost.json", '{"parts": {"laser": "much"}}', "parts.laser"),
        ("metrics.jsonl", '{"stage": \n{"stage": "train"}\n', "one JSON object per line"),
        ("metrics.jsonl", '{"epoch": 1}\n', "0.stage"),
        ("config.yaml", "a: [1, 2", "is not YAML"),
        ("config.yaml", "just words", "does not hold"),
        ("chip.json", "{{", "is not JSON"),
        ("phases.safetensors", "not tensors", "not a safetensors file"),
        ("writes.json", "null", "does not hold"),
        ("writes.json", '{"cases": []}', "cases"),
        ("writes.json", '{"cases": [{"state": "a", "order": "b", "levels": 1, "worst_cell": 1}]}', "first_failure"),
        ("writes.json", json.dumps(CASE | {"levels": -1}).join(('{"cases": [', "]}")), "cases.0.levels"),
        ("writes.json", json.dumps(CASE | {"worst_cell": math.inf}).join(('{"cases": [', "]}")), "cases.0.worst_cell"),
        ("writes.json", json.dumps(CASE).join(('{"rate_hz": 0, "cases": [', "]}")), "rate_hz"),
        ("wear.safetensors", "not tensors", "not a safetensors file"),
    ],
)
def test_a_broken_file_is_named(run_folder: Path, name: str, content: str, word: str) -> None:
    (run_folder / name).write_text(content)
    with pytest.raises(RequestError, match=re.escape(word)) as caught:
        write_report(run_folder)
    assert str(run_folder / name) in str(caught.value)
    assert not (run_folder / "report.html").exists()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RequestError, match=r"summary\.json.*metrics\.jsonl"):
            write_report(folder)


@pytest.mark.parametrize(
    ("name", "pulses", "word"),
    [
        ("conv/learned", np.zeros((2, 3, 3)), "LAYER/STATE/ORDER"),
        ("conv/learned/reordered", np.zeros((3, 3)), "(3, 3)"),
        ("conv/learned/reordered", np.zeros((1, 3, 3)), "(1, 3, 3)"),
        ("conv/learned/reordered", np.zeros((2, 3, 4)), "(2, 3, 4)"),
        ("conv/learned/reordered", np.zeros((2, 0, 0)), "(2, 0, 0)"),
        ("conv/learned/reordered", np.full((2, 3, 3), -1.0), "below 0"),
        ("conv/learned/reordered", np.full((2, 3, 3), np.nan), "not finite"),
    ],
)
def test_a_tensor_that_is_no_wear_is_named(run_folder: Path, name: str, pulses: np.ndarray, word: str) -> None:
    path = run_folder / "wear.safetensors"
    save_file({name: pulses.astype(np.float32)}, path)
    with pytest.raises(RequestError, match=re.escape(word)) as caught:
        read_run(run_folder)
    assert str(path) in str(caught.value) and name in str(caught.value)


def test_wear_is_found_by_layer_state_and_order(run_folder: Path) -> None:
    pulses = np.arange(8, dtype=np.float32).reshape(2, 2, 2)
    save_file({"net.block.0/learned/as it comes": pulses}, run_folder / "wear.safetensors")
    wear = read_run(run_folder).wear
    np.testing.assert_array_equal(wear["net.block.0"]["learned", "as it comes"], pulses)


def test_a_life_without_end_is_never(run_folder: Path) -> None:
    (run_folder / "writes.json").write_text(json.dumps({"cases": [CASE | {"one_percent_failed": math.inf}]}))
    writes = read_run(run_folder).writes
    assert writes is not None and writes.first is writes.last
    assert writes.last.first_failure is None and writes.last.one_percent_failed is None
