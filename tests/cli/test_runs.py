"""Runs are listed, opened and gone on with; one process owns a folder, and a refused request leaves none."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lightloom.cli import app
from lightloom.commands import next_step as steps
from lightloom.common.progress import LOGGER, follow, show_messages

SMALL = ["train.epochs=1", "learn.epochs=1", "data.limit=40", "model.width=2"]
EPOCHS = 300
LONG = ["stages=[train]", f"train.epochs={EPOCHS}", "data.limit=40", "model.width=2"]


@pytest.fixture(autouse=True)
def _messages_as_before() -> Iterator[None]:
    handlers, level = list(LOGGER.handlers), LOGGER.level
    yield
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(level)


def lightloom(*words: str | Path, code: int = 0) -> Any:
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == code, result.output
    return result


def answer(*words: str | Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(lightloom(*words, "--json").stdout.splitlines()[-1])
    return content


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    result = lightloom("run", "onchip/digits", *SMALL, "--out", folder)
    assert result.stdout.splitlines()[-1].split(maxsplit=1) == [
        "next",
        f"lightloom report {folder} --open",
    ]
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


# the next step


def test_the_next_step_follows_from_what_the_run_holds(run: Path) -> None:
    assert answer("evaluate", run)["next"] == f"lightloom cost {run}"
    assert answer("cost", run)["next"] == f"lightloom report {run}"
    assert answer("report", run)["next"] == f"lightloom export {run}"
    (run / "export").mkdir()
    assert steps.next_step(run, "report") == f"lightloom explore {run}"


def test_a_stage_that_fails_says_how_to_go_on(tmp_path: Path) -> None:
    wild = [
        "train.epochs=2",
        "train.lr=1e30",
        "train.optimizer=sgd",
        "data.limit=200",
        "model.width=2",
    ]
    result = lightloom("run", "onchip/digits", *wild, "--out", tmp_path / "run", code=1)
    assert result.stderr.splitlines()[-1] == (
        f"next  lightloom run onchip/digits {' '.join(wild)} --out {tmp_path / 'run'} --resume"
    )


# the list


def test_runs_are_listed_with_metric_and_state(run: Path) -> None:
    stopped = run.parent / "stopped"
    lightloom("program", run, "--out", stopped)
    (run.parent / "photos").mkdir()
    rows = {Path(row["run"]).name: row for row in answer("runs", run.parent)["runs"]}
    assert set(rows) == {"run", "stopped"}
    summary = json.loads((run / "summary.json").read_text())
    row = rows["run"]
    assert (row["recipe"], row["task"], row["state"]) == (
        "onchip/digits",
        "classification",
        "done",
    )
    assert (row["metric"]["name"], row["metric"]["of"]) == ("accuracy", "learned")
    assert row["metric"]["value"] == summary["values"]["learned"]
    assert row["date"] == json.loads((run / "versions.json").read_text())["date"]
    assert rows["stopped"]["state"] == "stopped at calibrate"
    words = lightloom("runs", run.parent).stdout
    assert "stopped at" in words and "accuracy" in words


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", b"a: ["),
        ("config.yaml", b"\xff"),
        ("config.yaml", b"stages: 3\nrecipe: x\n"),
        ("summary.json", b"[1]"),
        ("stages.json", b'{"train": "x"}'),
        ("versions.json", b""),
        (".lightloom.holder", b"[]"),
    ],
)
def test_a_damaged_run_is_named_and_the_others_listed(run: Path, name: str, content: bytes) -> None:
    shutil.copytree(run, run.parent / "another")
    (run / name).write_bytes(content)
    rows = answer("runs", run.parent)["runs"]
    assert [Path(row["run"]).name for row in rows] == ["another", "run"]
    assert rows[0]["state"] == "done" and not rows[0]["problem"]
    assert name in rows[1]["problem"]


def test_no_runs_are_an_empty_list_and_no_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert answer("runs") == {"runs": []}
    assert "no folder" in lightloom("runs", tmp_path / "nowhere", code=2).stderr


# the page


def test_the_page_is_opened_or_a_sentence_says_where_it_is(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[str] = []
    monkeypatch.setattr(webbrowser, "open", lambda page: pages.append(page) or True)
    assert answer("report", run, "--open")["opened"] is True
    assert pages == [(run / "report.html").resolve().as_uri()]

    def none(page: str) -> bool:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "open", none)
    assert str(run / "report.html") in lightloom("report", run, "--open").stderr


# messages


def test_the_library_is_silent_until_a_program_shows_messages() -> None:
    code = "import logging, lightloom; logging.getLogger('lightloom').warning('hidden')"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stderr == ""


def test_levels_decide_what_is_said_on_the_way(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cost took" not in lightloom("cost", run).stderr
    assert "cost took" in lightloom("-v", "cost", run).stderr
    assert "cost took" in lightloom("cost", run, "--verbose").stderr
    assert lightloom("evaluate", run, "-q").stderr == ""
    assert lightloom("evaluate", run).stderr.splitlines()[0] == "evaluate"
    assert "do not go together" in " ".join(lightloom("-q", "-v", "cost", run, code=2).stderr.replace("│", "").split())
    show_messages(logging.WARNING)
    with follow("steps", 1) as report:
        report(1, "")
    assert capsys.readouterr().err == ""


# folders


@pytest.mark.parametrize(
    "words",
    [
        ["electronic=[haed]"],
        ["places={conv9: elight}"],
        ["data=mnist", "data.root=/no"],
    ],
)
def test_a_refused_request_leaves_no_folder(words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lightloom("run", "onchip/digits", *SMALL, *words, "--out", tmp_path / "a" / "b", code=2)
    lightloom("run", "onchip/digits", *SMALL, *words, code=2)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "mine").mkdir()
    lightloom("run", "onchip/digits", *SMALL, *words, "--out", tmp_path / "mine", code=2)
    assert (tmp_path / "mine").is_dir()


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"recipe: [", b"recipe: onchip/digits\n"])
def test_a_folder_without_a_whole_config_is_started_anew(content: bytes | None, run: Path, finished: Path) -> None:
    (run / "electronic.safetensors").write_bytes(b"damaged")
    if content is None:
        (run / "config.yaml").unlink()
    else:
        (run / "config.yaml").write_bytes(content)
    lightloom("run", "onchip/digits", *SMALL, "--out", run, "--resume")
    assert (run / "config.yaml").read_bytes() == (finished / "config.yaml").read_bytes()
    first, second = (json.loads((path / "summary.json").read_text())["values"] for path in (finished, run))
    assert first == second
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2


def test_a_run_of_an_earlier_version_is_refused_with_the_change_that_mends_it(
    run: Path,
) -> None:
    config = run / "config.yaml"
    config.write_text(config.read_text().replace("task: classification", "task: classify"))
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    for words in (
        ["report", run],
        ["run", "onchip/digits", *SMALL, "--out", run, "--resume"],
        ["export", run],
    ):
        error = lightloom(*words, code=2).stderr
        assert "earlier version" in error and "lightloom run onchip/digits" in error
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    assert answer("runs", run.parent)["runs"][0]["state"] == "done"


def start(folder: Path) -> subprocess.Popen[bytes]:
    """A run that trains for long, in a process of its own."""
    words = ["run", "onchip/digits", *LONG, "--out", str(folder)]
    program = [sys.executable, "-c", "from lightloom.cli import main; main()", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "LIGHTLOOM_KERNELS": "off"}
    process = subprocess.Popen(program, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (folder / "metrics.jsonl").exists()
    return process


def test_a_second_process_is_refused_by_the_number_of_the_first_until_that_is_killed(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    process = start(folder)
    try:
        row = answer("runs", tmp_path)["runs"][0]
        assert (row["state"], row["process"]) == ("running", process.pid)
        config = (folder / "config.yaml").read_bytes()
        for words in (
            ["run", "onchip/digits", *LONG, "--out", folder, "--resume"],
            ["train", folder],
        ):
            assert f"Process {process.pid}" in lightloom(*words, code=2).stderr
        assert (folder / "config.yaml").read_bytes() == config
        assert process.poll() is None
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    row = answer("runs", tmp_path)["runs"][0]
    assert (row["state"], row["process"]) == ("stopped at train", None)
    lightloom("run", "onchip/digits", *LONG, "--out", folder, "--resume")
    epochs = [json.loads(line)["epoch"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert epochs == list(range(1, EPOCHS + 1))
    assert answer("runs", tmp_path)["runs"][0]["state"] == "done"
