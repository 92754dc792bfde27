"""A run that is killed at any write of a file goes on by `--resume` and ends as if nothing had been."""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from safetensors.torch import load_file

from lightloom.common.errors import LightloomError, RequestError
from lightloom.pipeline.run import run
from lightloom.pipeline.run_folder import RunFolder
from lightloom.recipes import resolve

TINY = ["stages=[train,program,evaluate]", "train.epochs=2", "data.limit=40", "model.width=2", "device=cpu"]
CONFIG = resolve("onchip/digits", ["quick=true", *TINY])
_HIDDEN = ".lightloom"


class Killed(BaseException):
    """As a kill: nothing is tidied up behind it."""


def stop_at(patch: pytest.MonkeyPatch, number: int, stop: BaseException) -> Callable[[], bool]:
    """Stop when the disk is told for the so many-th time to keep a file; returns whether it came so far."""
    fsync, count = os.fsync, 0

    def counted(handle: int) -> None:
        nonlocal count
        if count == number:
            if isinstance(stop, Killed):
                patch.setattr(Path, "unlink", lambda *_, **__: None)
            count += 1
            raise stop
        count += 1
        fsync(handle)

    patch.setattr(os, "fsync", counted)
    return lambda: count > number


def content(folder: Path) -> dict[str, bytes]:
    """Files of a run whose bytes are the same in every run."""
    changing = ("versions.json", "stages.json", "summary.json", "metrics.jsonl")  # dates and seconds
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith(".part")]
    shown = {name for name in files if name.startswith(_HIDDEN) or name in changing}
    return {name: b"" if name in shown else _bytes(path) for name, path in files.items()}


def _bytes(path: Path) -> bytes:
    """Of a safetensors file without its notes, which come in any order."""
    if path.suffix != ".safetensors":
        return path.read_bytes()
    return b"".join(name.encode() + tensor.numpy().tobytes() for name, tensor in sorted(load_file(path).items()))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(CONFIG, folder)
    return content(folder)


def test_every_kill_before_there_is_a_config_is_recovered_from(tmp_path: Path) -> None:
    RunFolder.create(CONFIG, tmp_path / "whole")
    number = 0
    while True:
        folder = tmp_path / f"run-{number}"
        with pytest.MonkeyPatch.context() as patch:
            reached = stop_at(patch, number, Killed())
            with suppress(Killed):
                RunFolder.create(CONFIG, folder)
        if not reached():
            break
        RunFolder.resume(CONFIG, folder)
        assert content(folder) == content(tmp_path / "whole")
        assert RunFolder.open(folder).config == CONFIG
        number += 1
    assert number > 15


@pytest.mark.parametrize("number", [0, 1, 9, 17, 23, 28, 31, 36, 41, 47, 53])
def test_a_kill_later_on_as_well(whole: dict[str, bytes], number: int, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        reached = stop_at(patch, number, Killed())
        with pytest.raises(Killed):
            run(CONFIG, tmp_path / "run")
        assert reached()
    run(CONFIG, tmp_path / "run", resume=True)
    assert content(tmp_path / "run") == whole


@pytest.mark.parametrize("number", [0, 1, 5, 21, 30, 44])
def test_a_full_disk_is_told_and_gone_on_from(whole: dict[str, bytes], number: int, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.MonkeyPatch.context() as patch:
        stop_at(patch, number, full)
        with pytest.raises(LightloomError, match="No space left"):
            run(CONFIG, tmp_path / "run")
    run(CONFIG, tmp_path / "run", resume=True)
    assert content(tmp_path / "run") == whole


def test_a_repetition_that_is_killed_leaves_no_results_of_another_config(tmp_path: Path) -> None:
    from lightloom.pipeline.run import repeat

    run(CONFIG, tmp_path / "run")
    for number in range(6):
        with pytest.MonkeyPatch.context() as patch:
            stop_at(patch, number, Killed())
            with pytest.raises(Killed):
                repeat(tmp_path / "run", "program", [f"specimen={number + 5}"])
        folder = RunFolder.open(tmp_path / "run")
        assert folder.config.specimen == 0 or "program" not in folder.done
        run(folder.config, tmp_path / "run", resume=True)
    with pytest.raises(RequestError, match=r"`specimen`.*--out"):
        run(CONFIG.replace(specimen=99), tmp_path / "run", resume=True)
