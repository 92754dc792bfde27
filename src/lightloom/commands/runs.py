"""The runs in a folder: what each is of, how far it came, and how good it is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lightloom.common.errors import LightloomError, RequestError
from lightloom.common.hold import holder
from lightloom.common.marks import mark_of
from lightloom.common.records import check, read_record
from lightloom.config import read_values
from lightloom.pipeline.run_folder import ROOT
from lightloom.pipeline.summary import last_value


def list_runs(root: Path | None = None) -> list[dict[str, Any]]:
    """The runs that lie directly in a folder, by name; one that cannot be read says why in `problem`.

    Args:
        root: The folder; None is `runs/`, which need not be there.

    Returns:
        For each run `run`, `recipe`, `task`, `date`, `state` ("done", "stopped at STAGE", "running" or "damaged"),
        `process` (number of the process that works in it, or None), `metric` (None, or `name`, `percent`, `unit`,
        `value`, and in `of` the state or case that has it, the last one) and `problem`.

    Raises:
        RequestError: There is no such folder.
    """
    folder = ROOT if root is None else root
    if root is not None and not root.is_dir():
        raise RequestError(f"There is no folder `{root}`; name one that holds run folders, such as `{ROOT}`.")
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [_row(path) for path in folders if _looks_like_a_run(path)]


def _looks_like_a_run(path: Path) -> bool:
    try:
        mark = mark_of(path)
    except LightloomError:
        return True  # it is named with its problem
    return (path / "config.yaml").exists() if mark is None else mark.kind == "run"


def _row(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"run": str(path), "recipe": "", "task": "", "date": "", "state": "damaged"}
    row |= {"process": None, "metric": None, "problem": ""}
    try:
        for part in _parts(path):
            row |= part
    except (LightloomError, OSError) as error:
        row["problem"] = str(error)
    return row


def _parts(path: Path) -> Iterator[dict[str, Any]]:
    """What is known of a run, piece after piece, so that a damaged file hides only what comes after it."""
    process = holder(path)
    yield {"process": process}
    versions: dict[str, Any] = read_record(path / "versions.json", dict[str, Any], {})
    yield {"date": str(versions.get("date", ""))}
    config = read_values(path / "config.yaml")
    yield {"recipe": str(config.get("recipe", "")), "task": str(config.get("task", ""))}
    done: dict[str, float] = read_record(path / "stages.json", dict[str, float], {})
    stages = check(path / "config.yaml", list[str], config.get("stages", []))
    missing = next((stage for stage in stages if stage not in done), None)
    state = "running" if process is not None else "done" if missing is None else f"stopped at {missing}"
    yield {"state": state, "metric": last_value(path / "summary.json")}
