"""Files of a run that were damaged: whatever reads them refuses by file and field, and never with a traceback."""

import copy
import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lightloom.cli import app
from lightloom.common.errors import LightloomError, RequestError
from lightloom.pipeline.run_folder import RunFolder
from lightloom.pipeline.summary import write_summary
from lightloom.report.readers.run import read_run

SMALL = ["train.epochs=1", "learn.epochs=1", "data.limit=40", "model.width=2"]
WRONG: list[Any] = [None, "text", [], {}, [1, "a"], -1, float("nan"), float("inf"), True]
MOST = 40  # damages of a file that are tried, drawn among all
FILES = ("stages", "evaluation", "cost", "bench", "layers", "versions", "chip", "specimen", "summary")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    result = CliRunner().invoke(app, ["run", "onchip/digits", *SMALL, "--out", str(run)])
    assert result.exit_code == 0, result.output
    return run


def damaged(content: Any, depth: int = 3) -> Iterator[Any]:
    """Copies in which the whole, or one value down to a depth, is gone or something else."""
    yield from WRONG
    items = list(content.items()) if isinstance(content, dict) else []
    items = list(enumerate(content[:1])) if isinstance(content, list) else items
    for key, value in items:
        less = copy.copy(content)
        del less[key]
        yield less
        if depth > 1:
            for other in damaged(value, depth - 1):
                changed = copy.copy(content)
                changed[key] = other
                yield changed


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_refused_or_says_nothing(name: str, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    path = run / f"{name}.json"
    content = json.loads(path.read_text())
    folder = RunFolder.open(run)
    (run / "config.yaml").unlink()  # it is long, and read once is enough
    every = list(damaged(content))
    for wrong in random.Random(0).sample(every, min(MOST, len(every))):
        path.write_text(json.dumps(wrong))
        for read in (lambda: write_summary(folder), lambda: read_run(run)):
            try:
                read()
            except LightloomError as error:
                assert isinstance(error, RequestError), error
                assert ".json" in str(error)
        if name == "summary":  # it was written anew, from the others
            path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("name", "verb"), [("evaluation", "report"), ("cost", "report"), ("stages", "evaluate"), ("bench", "map")]
)
def test_a_verb_ends_with_a_sentence(name: str, verb: str, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / f"{name}.json").write_text('[{"a": NaN}]')
    result = CliRunner().invoke(app, [verb, str(run)])
    assert result.exit_code in (1, 2), result.output
    assert f"{name}.json" in result.output


@pytest.mark.parametrize("content", [b"[1]", b"3", b"", b"\xff\xfe", b"a: ["])
def test_a_config_of_another_kind_is_refused_by_every_verb(content: bytes, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    (run / "config.yaml").write_bytes(content)
    for words in (["report", run], ["export", run], ["compare", run, finished], ["explore", run], ["detect", "a.png"]):
        model = ["--model", str(run)] if words[0] == "detect" else []
        result = CliRunner().invoke(app, [*map(str, words), *model])
        assert result.exit_code == 2, (words, result.output)
        assert "config.yaml" in result.output


def test_processes_are_counted_by_whole_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in (("WORLD_SIZE", "x"), ("WORLD_SIZE", "0"), ("RANK", "-1"), ("WORLD_SIZE", "9" * 5000)):
        with monkeypatch.context() as patch:
            patch.setenv(name, text)
            result = CliRunner().invoke(app, ["run", "onchip/digits", "--out", "nowhere"])
            assert result.exit_code == 2 and f"unset {name}" in result.output
