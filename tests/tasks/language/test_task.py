"""The task as a run meets it: config, data, refusals, and the recipe from the command line to report and prediction."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from lightloom.cli import app
from lightloom.common.errors import RequestError
from lightloom.recipes import resolve
from lightloom.tasks import TASKS, task_of
from lightloom.tasks.language.config import LanguageConfig
from lightloom.tasks.language.text import embedded_text
from lightloom.tasks.language.windows import TextSplits

SMALL = ["quick=true", "model.width=8", "model.heads=2", "model.depth=1", "generate.length=40"]
FAST = [*SMALL, "train.epochs=10", "train.lr=2e-2", "bench.looks=0", "device=cpu"]


@pytest.fixture
def poem(tmp_path: Path) -> Path:
    path = tmp_path / "poem.txt"
    path.write_text("the wheel goes round and the light comes back <b>&</b>\n" * 120, encoding="utf-8")
    return path


def splits(config: LanguageConfig) -> TextSplits:
    return TASKS["language"].data(config)


def test_the_full_form_is_larger_than_the_quick_one() -> None:
    full, quick = resolve("lm/chars"), resolve("lm/chars", ["quick=true"])
    for config in (full, quick):
        assert isinstance(config, LanguageConfig)
        assert task_of(config).name == "language"
        assert config.data.name == "pydoc"
        assert config.model.width % config.chip.block_size == 0
    assert (full.model.width, full.model.depth, full.model.context) > (quick.model.width, quick.model.depth, 32)
    assert full.train.epochs > quick.train.epochs


def test_the_data_is_the_text_that_is_asked_for(poem: Path) -> None:
    config = resolve("lm/chars", [f"data={poem}", "model.context=16"])
    data = splits(config)
    assert data.train.inputs.shape[1] == 16
    facts = task_of(config).facts(data)
    assert facts["characters"] == len(poem.read_text())
    assert facts["text"] == "file `poem.txt`"
    assert len(splits(config.replace(data=config.data.replace(limit=800))).text.characters) == 800
    assert task_of(config).chance(data) == pytest.approx(math.log2(len(data.alphabet)))


def test_a_hash_holds_a_run_to_its_text(poem: Path) -> None:
    right = embedded_text().sha256
    assert splits(resolve("lm/chars", [f"data.sha256={right}"])).text.sha256 == right
    with pytest.raises(RequestError, match=f"asks for {right}"):
        splits(resolve("lm/chars", [f"data={poem}", f"data.sha256={right}"]))
    with pytest.raises(RequestError, match=r"data\.sha256"):
        resolve("lm/chars", ["data.sha256=abc"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("model.heads=5", "5 `heads` do not divide a `width` of 96"),
        ("model.dropout=1", "model.dropout"),
        ("stages=[train,program,reorder]", "reorder"),
        ("images.name=mnist", "Unknown key `images.name`"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_read(change: str, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        resolve("lm/chars", [change])


def test_first_weights_are_those_of_the_seed() -> None:
    task, config = TASKS["language"], resolve("lm/chars", SMALL)
    first, again = (task.model(config, {"characters": "abc"}).state_dict() for _ in range(2))
    other = task.model(config.replace(seed=1), {"characters": "abc"}).state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])
    assert first["head.weight"].shape == (4, 8)


def test_the_recipe_runs_from_a_text_to_report_and_prediction(poem: Path, tmp_path: Path) -> None:
    call, run = CliRunner(), tmp_path / "run"
    result = call.invoke(app, ["run", "lm/chars", f"data={poem}", *FAST, "--out", str(run), "--json"])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout.splitlines()[-1])
    assert summary["metric"]["name"] == "bits_per_character"
    values = summary["values"]
    assert list(values) == ["electronic", "programmed", "calibrated", "mapped", "learned"]
    assert values["programmed"] > values["electronic"] + 0.5
    assert values["mapped"] == pytest.approx(values["electronic"], abs=0.05)
    text = json.loads((run / "text.json").read_text())
    assert [row["state"] for row in text["written"]] == list(values)
    assert all(len(row["text"]) == 40 for row in text["written"])
    assert text["sha256"] == json.loads((run / "data.json").read_text())["sha256"]
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert all("validation_bits_per_character" in epoch for epoch in epochs)

    page = (run / "report.html").read_text()
    for words in ("bits per character", "What it writes", "What a character costs", text["sha256"]):
        assert words in page
    assert page.count("&lt;b&gt;&amp;&lt;/b&gt;") or "<b>&" not in page

    out = tmp_path / "texts"
    result = call.invoke(app, ["detect", "the wheel X", str(poem), "--model", str(run), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "prompt: the wheel X" in result.stdout
    texts = json.loads((out / "texts.json").read_text())["texts"]
    assert [len(row["text"]) for row in texts] == [40, 40]
    assert [row["unknown"] for row in texts] == ["X", ""]
    assert texts[1]["prompt"] == poem.read_text()

    poem.write_text(poem.read_text()[::-1])
    result = call.invoke(app, ["evaluate", str(run)])
    assert result.exit_code == 2
    assert "the network of this run learnt a text with the hash" in " ".join(result.stderr.split())
