"""Files are whole or not there."""

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from lightloom.common import files
from lightloom.common.errors import RequestError, WorkError, nearest
from lightloom.common.hold import hold
from lightloom.common.marks import claim


def test_a_written_file_is_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"a": [1, 2.5]})
    files.write_json(path, {"b": None})
    assert files.read_json(path) == {"b": None}
    assert [child.name for child in tmp_path.iterdir()] == ["a.json"]
    assert path.stat().st_mode & 0o777 == 0o666 & ~current_umask()


def current_umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_a_kill_left_behind_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    claim(tmp_path, "run")
    with hold(tmp_path):  # as this process
        pass
    (tmp_path / "deep").mkdir()
    files.write_text(tmp_path / "deep" / "weights", "whole")
    foreign = [
        ".notes.123.part",
        "deep/.weights.part",
        "deep/.weights.mine.part",
        f"deep/.others.{os.getpid()}.part",
        "x.part",
    ]
    foreign += ["deep/.weights.123.part"]
    for name in foreign:
        (tmp_path / name).write_text("mine")
    (tmp_path / "deep" / f".weights.{os.getpid()}.part").write_bytes(b"half")
    (tmp_path / "deep" / f".weights.{os.getpid()}-1.part").write_bytes(b"half")
    files.clear_parts(tmp_path)
    assert sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.part")) == sorted(foreign)


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_is_told_and_the_old_file_stays(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights"
    files.write_bytes(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if step == "fsync" else Path, step, fail)
    with pytest.raises(WorkError, match=r"weights.*No space left.*Free some space.*--resume"):
        files.write_bytes(path, b"new")
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_real_limit_on_file_size_is_told(tmp_path: Path) -> None:
    """The kernel itself refuses: a limit of 1 KiB on every file of a process of its own."""
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from lightloom.common.files import write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))\n"
        "write_bytes(Path(sys.argv[1]), b'x' * 5000)\n"
    )
    assert resource.RLIMIT_FSIZE
    path = tmp_path / "big"
    path.write_bytes(b"old")
    result = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert "WorkError" in result.stderr
    assert "Free some space" in result.stderr
    assert path.read_bytes() == b"old"


def test_a_cut_line_of_json_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    files.append_json_line(path, {"a": 1})
    files.append_json_line(path, {"a": 2})
    with path.open("a") as stream:
        stream.write('{"a": 3')
    assert list(files.read_json_lines(path)) == [{"a": 1}, {"a": 2}]
    assert list(files.read_json_lines(tmp_path / "none")) == []


def test_broken_and_missing_json_are_requests_gone_wrong(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(RequestError, match=r"bad\.json.*not JSON"):
        files.read_json(tmp_path / "bad.json")
    with pytest.raises(RequestError, match="missing"):
        files.read_json(tmp_path / "none.json")


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="--out"):
        files.make_folder(tmp_path / "file" / "run")


def test_nearest_names_the_closest_or_lists_all() -> None:
    assert nearest("gama", ["gamma_std", "gamma", "v_pi"]) == "Did you mean `gamma`?"
    assert nearest("zzz", ["b", "a"]) == "Known: `a`, `b`."
