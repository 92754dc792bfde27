"""Which scenes belong to which split: the official ones by version, or those of a `splits.json` beside the tables."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lightloom.common.errors import RequestError
from lightloom.common.files import read_json
from lightloom.data.nuscenes.tables import Tables

_MINI = {
    "mini_train": (61, 553, 655, 757, 796, 1077, 1094, 1100),
    "mini_val": (103, 916),
}
_VALIDATION = (
    "3 12-18 35-36 38-39 92-110 221 268-278 329-332 344-346 519-524 552-565 625-627 629-630 632-638 770-771 775 "
    "777-778 780-784 794-800 802 904-917 919-931 962-963 966-969 971-972 1059-1073"
)
"""Numbers of the 150 validation scenes of v1.0-trainval; its other 700 are for training. Source: nuScenes devkit."""


def scene_splits(tables: Tables) -> dict[str, tuple[str, ...]]:
    """Names of scenes by split.

    A file `splits.json` in the folder of the tables, `{"train": ["scene-0001", ...], ...}`, goes before the official
    splits: mini_train and mini_val of v1.0-mini, train and val of v1.0-trainval, test of v1.0-test.

    Raises:
        RequestError: The file is broken, or there is none and the version has no official splits.
    """
    file = tables.folder / "splits.json"
    if file.exists():
        return check_splits(tables, read_splits(file))
    names = tuple(str(scene["name"]) for scene in tables["scene"].values())
    if tables.version == "v1.0-mini":
        return check_splits(tables, {split: tuple(map(_name, numbers)) for split, numbers in _MINI.items()})
    if tables.version == "v1.0-trainval":
        validation = _validation_names()
        return {
            "train": tuple(name for name in names if name not in validation),
            "val": tuple(name for name in names if name in validation),
        }
    if tables.version == "v1.0-test":
        return {"test": names}
    raise RequestError(
        f"`{tables.version}` has no official splits; write `{file}` as "
        '{"train": ["name of a scene", ...], "val": [...]}, or give `splits`.'
    )


def read_splits(file: Path) -> dict[str, tuple[str, ...]]:
    """Names of scenes by split, from a JSON file.

    Raises:
        RequestError: It is not a mapping of names to lists of names.
    """
    content = read_json(file)
    if not isinstance(content, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in content.values()
    ):
        raise RequestError(f'`{file}` should hold {{"name of a split": ["name of a scene", ...], ...}}.')
    return {split: tuple(names) for split, names in content.items()}


def check_splits(tables: Tables, splits: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """The same splits, where the tables have every scene and no scene is in two of them.

    Args:
        tables: The tables of the set.
        splits: Names of scenes by split.

    Raises:
        RequestError: A scene is not there, or stands twice.
    """
    scenes = {scene["name"] for scene in tables["scene"].values()}
    split_of: dict[str, str] = {}
    for split, names in splits.items():
        for name in names:
            if name not in scenes:
                listed = ", ".join(f"`{other}`" for other in sorted(scenes)[:8]) + " ..." * (len(scenes) > 8)
                raise RequestError(
                    f"Split `{split}` names the scene `{name}`, which is not in `{tables.folder}`. "
                    f"Its scenes: {listed}."
                )
            if name in split_of:
                raise RequestError(
                    f"The scene `{name}` is in split `{split_of[name]}` and in `{split}`; leave one out."
                )
            split_of[name] = split
    return dict(splits)


def _name(number: int) -> str:
    return f"scene-{number:04}"


def _validation_names() -> frozenset[str]:
    ranges = (part.split("-") for part in _VALIDATION.split())
    return frozenset(_name(number) for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1))
