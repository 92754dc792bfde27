"""The main job from the command line: its story, its repetition, and its recovery from a kill."""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

SMALL = ["train.epochs=3", "learn.epochs=4", "model.width=6", "data.limit=300"]


def lightloom(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, on one thread so that sums have one order."""
    result = subprocess.run(command(*arguments), capture_output=True, text=True, env=environment())
    assert not check or result.returncode == 0, result.stderr[-3000:]
    return result


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-c", "from lightloom.cli import main; main()", *map(str, arguments)]


def environment() -> dict[str, str]:
    # kernels that another test builds meanwhile would change the last digits
    return {**os.environ, "OMP_NUM_THREADS": "1", "LIGHTLOOM_KERNELS": "off", "COLUMNS": "200"}


def answer(result: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return parsed


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    lightloom("run", "onchip/digits", *SMALL, "--out", folder, "--json")
    return folder


def test_the_published_story_on_the_real_digits(tmp_path: Path) -> None:
    """The recipe as it is: good electronically, chance on the specimen, brought back by calibration and learning."""
    result = answer(lightloom("run", "onchip/digits", "--out", tmp_path / "run", "--json"))
    accuracy = result["values"]
    assert accuracy["electronic"] >= 0.97
    assert accuracy["programmed"] < 0.3
    assert accuracy["calibrated"] >= accuracy["electronic"] - 0.02
    assert accuracy["mapped"] >= accuracy["electronic"] - 0.02
    assert result["bench_calls"]["calibrated"] + result["bench_calls"]["mapped"] <= 64
    assert accuracy["learned"] >= accuracy["electronic"] - 0.02
    assert result["chip_calls"] > 0
    assert 0 < result["latency_s"] < 1
    assert 0 < result["energy_j"] < 1
    assert Path(result["run"]) == tmp_path / "run"


def test_learning_alone_brings_it_back_as_well(tmp_path: Path) -> None:
    """Without calibration: U and V stay what the specimen makes them, singular values and norms train from chance."""
    alone = ["stages=[train,program,learn,evaluate,cost,report]", "learn.epochs=30", "learn.lr=1e-2"]
    result = answer(lightloom("run", "onchip/digits", *alone, "--out", tmp_path / "run", "--json"))
    accuracy = result["values"]
    assert list(accuracy) == ["electronic", "programmed", "learned"]
    assert accuracy["programmed"] < 0.3
    assert accuracy["learned"] >= accuracy["electronic"] - 0.02


def test_learning_is_sampled_when_asked_and_costs_less(whole: Path, tmp_path: Path) -> None:
    sampled = ["sampling.feedback=0.5", "sampling.column=0.5", "sampling.smd=0.5"]
    result = answer(lightloom("run", "onchip/digits", *SMALL, *sampled, "--out", tmp_path / "run", "--json"))
    dense = json.loads((whole / "summary.json").read_text())["learning"]
    assert result["learning"]["chip_calls"] < 0.6 * dense["chip_calls"]
    assert result["values"]["learned"] > result["values"]["programmed"]
    assert (tmp_path / "run/mapped.safetensors").read_bytes() == (whole / "mapped.safetensors").read_bytes()


def test_a_run_folder_holds_what_the_design_says(whole: Path) -> None:
    names = {path.name for path in whole.iterdir()}
    files = "config.yaml versions.json metrics.jsonl chip.json specimen.json layers.json cost.json bench.json"
    states = ("electronic", "programmed", "calibrated", "mapped", "learned")
    wanted = {*files.split(), *(f"{state}.safetensors" for state in states), "summary.json", "report.html"}
    assert wanted <= names
    assert not [name for name in names if name.endswith(".part")]


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(whole: Path, tmp_path: Path) -> None:
    again = answer(lightloom("run", "onchip/digits", *SMALL, "--out", tmp_path / "again", "--json"))
    other = answer(lightloom("run", "onchip/digits", *SMALL, "--seed", "1", "--out", tmp_path / "other", "--json"))
    first = json.loads((whole / "summary.json").read_text())
    for key in ("values", "chip_calls", "energy_j", "latency_s"):
        assert again[key] == first[key]
    assert (tmp_path / "again/learned.safetensors").read_bytes() == (whole / "learned.safetensors").read_bytes()
    assert other["energy_j"] != first["energy_j"]


@pytest.mark.parametrize("attempt", range(3))
def test_kill_at_a_random_moment_and_resume_end_in_the_same_weights(whole: Path, tmp_path: Path, attempt: int) -> None:
    folder = tmp_path / "run"
    draw = random.Random(attempt)
    # once from the start and once more while resuming
    for kill in range(2):
        arguments = ["run", "onchip/digits", *SMALL, "--out", folder, *(["--resume"] if kill else [])]
        process = subprocess.Popen(
            command(*arguments), env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(folder / "metrics.jsonl", process)
        time.sleep(draw.uniform(0, 1.5))
        process.send_signal(signal.SIGKILL)
        process.wait()
    for path in folder.rglob("*.safetensors"):
        load_file(path)  # whatever is there is whole
    lightloom("run", "onchip/digits", *SMALL, "--out", folder, "--resume", "--json")
    assert (folder / "learned.safetensors").read_bytes() == (whole / "learned.safetensors").read_bytes()
    assert [epochs(folder, stage) for stage in ("train", "learn")] == [[1, 2, 3], [1, 2, 3, 4]]


def wait_for(path: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)


def epochs(folder: Path, stage: str) -> list[int]:
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line["epoch"] for line in lines if line["stage"] == stage]


def test_a_finished_run_resumes_to_the_same_answer_at_once(whole: Path) -> None:
    before = (whole / "learned.safetensors").stat().st_mtime_ns
    result = answer(lightloom("run", "onchip/digits", *SMALL, "--out", whole, "--resume", "--json"))
    assert result["values"] == json.loads((whole / "summary.json").read_text())["values"]
    assert (whole / "learned.safetensors").stat().st_mtime_ns == before


def test_two_processes_run_the_whole_recipe_together(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines=1", "-m"]
    launch[-1:-1] = ["--mixed_precision=no", "--dynamo_backend=no", "--num_processes=2", f"--main_process_port={port}"]
    folder = tmp_path / "run"
    arguments = ["lightloom", "run", "onchip/digits", *SMALL, "--out", str(folder), "--json"]
    result = subprocess.run([*launch, *arguments], capture_output=True, text=True, env=environment())
    assert result.returncode == 0, result.stderr[-3000:]
    assert [line for line in result.stdout.splitlines() if line.startswith("{")] == [json.dumps(answer(result))]
    assert answer(result)["values"]["electronic"] > 0.3
    assert [epochs(folder, stage) for stage in ("train", "learn")] == [[1, 2, 3], [1, 2, 3, 4]]


def test_a_stage_is_repeated_on_a_copy_with_changes(whole: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    lightloom("program", whole, "chip.phase_bias=0", "--out", copy)
    assert "`calibrate`" in lightloom("learn", copy, check=False).stderr
    for stage in ("calibrate", "map"):
        lightloom(stage, copy)
    lightloom("learn", copy, "learn.epochs=1")
    result = answer(lightloom("evaluate", copy, "--json"))
    original = json.loads((whole / "summary.json").read_text())
    assert result["values"]["electronic"] == original["values"]["electronic"]
    assert result["values"]["programmed"] > original["values"]["programmed"] + 0.2
    cost = answer(lightloom("cost", copy, "--json"))
    assert cost["chip_calls"] == original["chip_calls"]
    lightloom("report", copy)
    assert (copy / "report.html").stat().st_mtime > (whole / "report.html").stat().st_mtime


def test_conversion_is_previewed_for_a_recipe_and_for_a_run(whole: Path) -> None:
    recipe = answer(lightloom("convert", "onchip/digits", "chip=noems", "--json"))
    assert recipe["chip"] == "noems"
    assert all(row["block_size"] == 8 for row in recipe["layers"] if row["converted"])
    run = answer(lightloom("convert", whole, "--json"))
    assert [row["name"] for row in run["layers"]] == [row["name"] for row in recipe["layers"]]


def test_real_mnist_runs_by_the_same_recipe(tmp_path: Path) -> None:
    if "LIGHTLOOM_DATA" not in os.environ:
        pytest.skip("needs MNIST and Fashion-MNIST in the folder that LIGHTLOOM_DATA names")
    small = ["train.epochs=3", "learn.epochs=4", "model.width=8", "data.limit=2000"]
    for name in ("mnist", "fashion_mnist"):
        result = answer(lightloom("run", "onchip/digits", f"data={name}", *small, "--out", tmp_path / name, "--json"))
        assert result["values"]["electronic"] > 0.6
        assert result["values"]["mapped"] > result["values"]["electronic"] - 0.05
        assert result["values"]["learned"] > result["values"]["electronic"] - 0.05
