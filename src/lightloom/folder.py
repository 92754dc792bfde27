"""A run folder: what a run has done, and what it needs to go on."""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError
from lightloom.common.files import clear_parts, make_folder, read_json, write_json, write_text
from lightloom.common.progress import console
from lightloom.common.records import check, read_record
from lightloom.config import RunConfig, from_yaml, to_yaml

_COMPARED = ("sweep.json", "angles.json", "optics.safetensors", "detections.json", "pr.json", "hybrid.json")
ROOT = Path("runs")
"""Where runs go that are given no folder."""


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

        Raises:
            RequestError: The folder cannot be written to, or holds something already.
        """
        path = free_folder(config.recipe) if path is None else path
        if path.is_dir() and any(path.iterdir()):
            raise RequestError(
                f"`{path}` is not empty. Go on with the run in it by `--resume`, or choose another folder with `--out`."
            )
        make_folder(path / "checkpoints")
        folder = cls(path, config)
        folder._write_description()
        return folder

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """Open a run that was started before.

        Raises:
            RequestError: There is no run in `path`.
        """
        return cls(path, from_yaml(path / "config.yaml"))

    @classmethod
    def resume(cls, config: RunConfig, path: Path) -> RunFolder:
        """Open the run in `path` to go on with it, or start it where nothing was written yet.

        Raises:
            RequestError: The run there has another config; the fields that differ are named.
        """
        if not (path / "config.yaml").exists():
            shutil.rmtree(path / "checkpoints", ignore_errors=True)  # made just before a kill, so empty
            return cls.create(config, path)
        folder = cls.open(path)
        old, new = (c.model_dump(mode="json", exclude={"changes"}) for c in (folder.config, config))
        changed = sorted(_differences(old, new))
        if changed:
            raise RequestError(
                f"The run in `{path}` was started with other values of {', '.join(f'`{key}`' for key in changed)}. "
                "Resume it with the same values, or choose another folder with `--out`."
            )
        make_folder(path / "checkpoints")
        clear_parts(path)
        before = read_json(path / "versions.json")
        known = check(path / "versions.json", dict[str, object], before)
        other = [key for key, value in versions().items() if key != "date" and known.get(key) != value]
        if other:
            console().print(f"Other {', '.join(other)} than when this run started: its last digits may differ.")
        return folder

    def copy(self, path: Path) -> RunFolder:
        """The same run in another folder.

        Raises:
            RequestError: That folder exists already, or cannot be written to.
        """
        if path.exists():
            raise RequestError(f"`{path}` exists already; choose a new folder with `--out`.")
        make_folder(path.parent)
        shutil.copytree(self.path, path)
        return RunFolder(path, self.config)

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
        path = self.file("stages.json")
        stages: dict[str, float] = read_record(path, dict[str, float], {})
        return stages

    def finish(self, stage: str, seconds: float) -> None:
        """Note that a stage is done."""
        write_json(self.file("stages.json"), {**self.done, stage: round(seconds, 3)})

    def forget(self, stages: list[str]) -> None:
        """Note that stages are to be done again, from their beginning."""
        write_json(self.file("stages.json"), {k: v for k, v in self.done.items() if k not in stages})
        for stage in stages:
            for checkpoint in self.file("checkpoints").glob(f"{stage}-*.safetensors"):
                checkpoint.unlink()

    def forget_comparison(self) -> None:
        """Note that every case of a comparison is to be trained again; its trainings have the names of its cases."""
        for path in (
            *(self.file(name) for name in _COMPARED),
            *self.path.glob("checkpoints/*.*"),
            *self.path.glob("models/*.*"),
        ):
            path.unlink(missing_ok=True)

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


def free_folder(recipe: str) -> Path:
    """The next folder under `runs/` that bears this name and a number."""
    stem = re.sub(r"[^\w.-]+", "-", recipe).strip("-") or "run"
    taken = {path.name for path in ROOT.glob(f"{stem}-*")} if ROOT.is_dir() else set()
    number = next(n for n in range(1, len(taken) + 2) if f"{stem}-{n:03d}" not in taken)
    return ROOT / f"{stem}-{number:03d}"


def _differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in old.keys() | new.keys():
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _differences(before, after, f"{prefix}{key}.")
        elif before != after:
            yield f"{prefix}{key}"
