"""A run folder: what a run has done, and what it needs to go on."""

from __future__ import annotations

import logging
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import count
from pathlib import Path, PurePath
from typing import Any

from lightloom.common.errors import RequestError, WorkError
from lightloom.common.files import clear_parts, make_folder, read_json, write_json, write_text
from lightloom.common.folders import adopt, copy_folder, remove
from lightloom.common.hold import HOLDER, LOCK, hold
from lightloom.common.marks import claim, mark_of
from lightloom.common.records import check
from lightloom.config import RunConfig, read_values, to_yaml
from lightloom.schemas import StageSeconds, read
from lightloom.tasks import read_config

_LOG = logging.getLogger("lightloom")
_STATES = ("electronic", "programmed", "calibrated", "mapped", "learned", "reordered")
_WRITTEN = (
    *("config.yaml", "versions.json", "chip.json", "specimen.json", "stages.json", "metrics.jsonl", "summary.json"),
    *("layers.json", "bench.json", "evaluation.json", "cost.json", "sweep.json", "angles.json", "curves.json"),
    *("detections.json", "detections3d.json", "pr.json", "pr3d.json", "hybrid.json", "problems.json", "writes.json"),
    *("phases.safetensors", "wear.safetensors", "ground.safetensors", "optics.safetensors", "report.html"),
    *("*-orders.safetensors", "twin-*.safetensors", "survey-*.safetensors", "models/*.safetensors", "results/*.json"),
    *("checkpoints/*-last.safetensors", "checkpoints/*-best.safetensors", "checkpoints/calibrate-*.safetensors"),
    *("checkpoints/angles.json", "pictures/*.jpg", "plots/*.svg", "plots/*.png", "plots/*.jpg"),
    *(f"{state}.safetensors" for state in _STATES),
)
"""What counts as written by a run of an earlier version, which kept no list."""

_COMPARED = ("sweep.json", "angles.json", "optics.safetensors", "detections.json", "pr.json", "hybrid.json")
ROOT = Path("runs")
"""Folder of the runs that are given none."""


class RunFolder:
    """One run on disk: config, stages done, weights, figures, report.

    Args:
        path: The folder; it must hold a run, see `create` and `open`.
        config: Its resolved config.
    """

    def __init__(self, path: Path, config: RunConfig) -> None:
        self.path = path
        self.config = config

    @classmethod
    def create(cls, config: RunConfig, path: Path | None = None) -> RunFolder:
        """Start a run in `path`, or in the next free folder under `runs/`.

        Args:
            config: Resolved config of the run.
            path: The folder; None is the next free one under `runs/`.

        Raises:
            RequestError: The folder cannot be written to, or holds something already.
        """
        if path is None:
            path = new_folder(config.recipe, "run")
        elif _is_run(path):
            raise RequestError(
                f"`{path}` is not empty. Go on with the run in it by `--resume`, or choose another folder with `--out`."
            )
        else:
            claim(path, "run", fresh=mark_of(path) is None)
        return cls(path, config)._begin()

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run that was started before.

        Raises:
            RequestError: There is no run in `path`.
        """
        return cls(path, read_config(path / "config.yaml"))

    @classmethod
    def resume(cls, config: RunConfig, path: Path) -> RunFolder:
        """Open the run in `path` to go on with it, or start it where nothing was written yet.

        Args:
            config: Resolved config of the run.
            path: The folder.

        Raises:
            RequestError: The run there has another config; the fields that differ are named. Or what is there is no
                run, or another process works on it.
        """
        if not _is_run(path):  # nothing is there, or a kill came in its first moments
            return cls.create(config, path)
        if not _has_whole_config(path):
            _LOG.warning("`%s` holds no whole config: its run begins anew.", path)
            return cls(path, config)._begin()
        folder = cls.open(path)
        old, new = (c.model_dump(mode="json", exclude={"changes"}) for c in (folder.config, config))
        changed = sorted(_differences(old, new))
        if changed:
            raise RequestError(
                f"The run in `{path}` was started with other values of {', '.join(f'`{key}`' for key in changed)}. "
                "Resume it with the same values, or choose another folder with `--out`."
            )
        folder.own()
        with hold(path):
            make_folder(path / "checkpoints")
            clear_parts(path)
        before = read_json(path / "versions.json")
        old_versions = check(path / "versions.json", dict[str, object], before)
        other = [key for key, value in versions().items() if key != "date" and old_versions.get(key) != value]
        if other:
            _LOG.warning("Other %s than when this run started: its last digits may differ.", ", ".join(other))
        return folder

    def own(self) -> None:
        """See that the folder carries the mark of a run, before anything in it is changed.

        One of an earlier version has none: it is marked now, and what a run writes counts as written by it.

        Raises:
            RequestError: The folder holds something else than a run.
        """
        if mark_of(self.path) is not None:
            claim(self.path, "run")
        elif _is_run(self.path):
            names = (path.relative_to(self.path).as_posix() for pattern in _WRITTEN for path in self.path.glob(pattern))
            adopt(self.path, "run", names)
        else:
            raise RequestError(f"`{self.path}` holds no run of Lightloom, so nothing in it is changed.")

    def copy(self, path: Path) -> RunFolder:
        """The same run in another folder.

        Raises:
            RequestError: That folder exists already, or cannot be written to, or another process works on the run.
            WorkError: The disk refuses.
        """
        if os.path.lexists(path):
            raise RequestError(f"`{path}` exists already; choose a new folder with `--out`.")
        make_folder(path.parent)
        try:
            with hold(self.path) if mark_of(self.path) is not None else nullcontext():
                copy_folder(self.path, path, leave_out=lambda name: name in (LOCK, HOLDER))
        except OSError as error:
            raise WorkError(f"Could not copy `{self.path}` to `{path}`: {error.strerror or error}.") from error
        copy = RunFolder(path, self.config)
        copy.own()
        return copy

    def change(self, config: RunConfig) -> None:
        """Take a changed config, for stages that are repeated."""
        self.config = config
        self._write_description()

    def file(self, name: str) -> Path:
        """A file of this run."""
        return self.path / name

    @property
    def done(self) -> dict[str, float]:
        """Seconds that each finished stage took, in the order in which they finished."""
        return read(self.file("stages.json"), StageSeconds, {}, strict=True)

    def finish(self, stage: str, seconds: float) -> None:
        """Note that a stage is done.

        Args:
            stage: Name of the stage.
            seconds: What it took, in s.
        """
        write_json(self.file("stages.json"), {**self.done, stage: round(seconds, 3)})

    def forget(self, stages: list[str]) -> None:
        """Note that stages are to be done again, from their beginning."""
        write_json(self.file("stages.json"), {k: v for k, v in self.done.items() if k not in stages})
        self._remove(*(f"checkpoints/{stage}-*.safetensors" for stage in stages))

    def forget_comparison(self) -> None:
        """Note that every case of a comparison is to be trained again; its trainings have the names of its cases."""
        self._remove(*_COMPARED, "checkpoints/*.*", "models/*.*")

    def _remove(self, *patterns: str) -> None:
        """Remove those files of the run whose names fit, and no file that somebody else has put there."""
        mark = mark_of(self.path)
        for name in sorted(mark.files) if mark else ():
            if any(PurePath(name).match(pattern) for pattern in patterns):
                remove(self.file(name))

    def _begin(self) -> RunFolder:
        """Write what a run starts with; what a kill left of it before is written again."""
        with hold(self.path):
            make_folder(self.path / "checkpoints")
            clear_parts(self.path)
            if self.file("stages.json").exists():  # of a run whose config is lost
                self._remove(
                    "stages.json", "metrics.jsonl", "summary.json", *_COMPARED, "checkpoints/*.*", "models/*.*"
                )
            self._write_description()
        return self

    def _write_description(self) -> None:
        write_json(self.file("versions.json"), versions())
        write_json(self.file("chip.json"), self.config.chip.model_dump(mode="json"))
        write_json(self.file("specimen.json"), {"seed": self.config.specimen})
        # last, since a folder with a config is a run that can be resumed
        write_text(self.file("config.yaml"), to_yaml(self.config))


def versions() -> dict[str, Any]:
    """What a run was made with."""
    import torch

    from lightloom.physics import compiled

    return {
        "lightloom": version("lightloom"),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy", "scipy", "accelerate")},
        "platform": platform.platform(),
        "threads": torch.get_num_threads(),
        "mesh kernels": compiled.backend(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def new_folder(title: str, kind: str) -> Path:
    """The next folder under `runs/` that bears this name and a number, made and marked: no two processes get the same.

    Args:
        title: What the name is made of.
        kind: What the mark says.

    Raises:
        RequestError: It cannot be written to.
    """
    stem = re.sub(r"[^\w.-]+", "-", title).strip("-") or "run"
    make_folder(ROOT)
    for number in count(1):
        path = ROOT / f"{stem}-{number:03d}"
        with suppress(FileExistsError):  # another process was faster, or an earlier run has it
            path.mkdir()
            return claim(path, kind, fresh=True)
    raise AssertionError("there are always more numbers")


def _is_run(path: Path) -> bool:
    """Whether a run was started in a folder: its mark lists a config, or an earlier version wrote it."""
    mark = mark_of(path)
    if mark is not None:
        return mark.kind == "run" and "config.yaml" in mark.files and (path / "config.yaml").is_file()
    try:
        written = read_json(path / "versions.json")
        read_config(path / "config.yaml")
    except (RequestError, OSError):
        return False
    return isinstance(written, dict) and "lightloom" in written


def _has_whole_config(path: Path) -> bool:
    """Whether the config of a marked folder can be read as one, of whatever version; else a disk has damaged it."""
    try:
        values = read_values(path / "config.yaml")
    except RequestError:
        return mark_of(path) is None
    return "recipe" in values and "task" in values


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}"
