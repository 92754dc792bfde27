"""What an exploration says: `explore.json` and `sensitivity.json`, checked."""

from __future__ import annotations

from pathlib import Path

from lightloom.common.errors import RequestError
from lightloom.schemas import Exploration, Sensitivity, read

EXPLORE, SENSITIVITY = "explore.json", "sensitivity.json"


def read_exploration(folder: Path) -> Exploration:
    """The exploration in a folder, an empty one where it holds a scan of layers alone.

    Raises:
        RequestError: It has neither, or an unreadable one.
    """
    path = folder / EXPLORE
    if not path.is_file() and not (folder / SENSITIVITY).is_file():
        raise RequestError(
            f"`{folder}` holds no `{EXPLORE}` and no `{SENSITIVITY}`. Name the folder that `lightloom explore` printed."
        )
    return read(path, Exploration, Exploration())


def read_sensitivity(folder: Path) -> Sensitivity:
    """The scan of layers in a folder, an empty one where there is none.

    Raises:
        RequestError: It cannot be read.
    """
    return read(folder / SENSITIVITY, Sensitivity, Sensitivity())
