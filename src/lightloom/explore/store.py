"""Finished points of a sweep, one file each, written whole: a kill loses none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError
from lightloom.common.files import clear_parts, make_folder, read_json, write_json
from lightloom.common.marks import claim
from lightloom.explore import digest

_KEYS = {"id", "light", "settings", "chip", "technology", "accuracies", "boundaries", "throughput_per_s", "area_m2"}


class Store:
    """The folder `points` of a sweep; without a folder, what is finished lives in memory alone.

    Args:
        folder: Of the sweep.

    Raises:
        RequestError: The folder cannot be written to.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = None if folder is None else make_folder(claim(folder, "exploration") / "points")
        if folder is not None:
            clear_parts(folder)
        self.rows: dict[str, dict[str, Any]] = {}
        self.broken: list[str] = []
        """Files that could not be used, with why."""

    def read(self, ids: Iterable[str]) -> None:
        """Take up the points that are finished; a broken file is noted, and its point is to be done again."""
        if self.folder is None:
            return
        for name in ids:
            path = self.folder / f"{name}.json"
            if not path.exists():
                continue
            try:
                self.rows[name] = _read(path, name)
            except RequestError as error:
                self.broken.append(str(error))

    def light(self) -> dict[str, list[float]]:
        """Accuracies of every finished point by what decides them, of points that were not asked for too."""
        if self.folder is not None:
            for path in self.folder.glob("*.json"):
                if path.stem not in self.rows:
                    try:
                        self.rows[path.stem] = _read(path, path.stem)
                    except RequestError:
                        continue  # named already where it was asked for, and no one's business where not
        return {row["light"]: row["accuracies"] for row in self.rows.values()}

    def keep(self, row: dict[str, Any]) -> None:
        """Write a finished point. Raises `WorkError` where the disk refuses."""
        self.rows[row["id"]] = row
        if self.folder is not None:
            write_json(self.folder / f"{row['id']}.json", {"check": digest.of_values(row), **row})

    def finished(self, ids: Sequence[str]) -> list[str]:
        """Points among `ids` that need nothing more."""
        return [name for name in ids if name in self.rows]


def _read(path: Path, name: str) -> dict[str, Any]:
    row = read_json(path)
    if not isinstance(row, dict) or not row.keys() >= _KEYS:
        raise RequestError(f"`{path}` is no point of a sweep.")
    check = row.pop("check", None)
    if check != digest.of_values(row) or row["id"] != name:
        raise RequestError(f"`{path}` is not as it was written.")
    return row
