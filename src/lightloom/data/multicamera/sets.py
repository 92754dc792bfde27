"""Multi-camera sets by name, in three splits: the synthetic town, and nuScenes or what is written in its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import torch

from lightloom.common.errors import RequestError, nearest
from lightloom.common.seeds import named_generator
from lightloom.data.detection.records import Problem
from lightloom.data.files import given_folder
from lightloom.data.multicamera.problems import sample_problems
from lightloom.data.nuscenes.classes import CLASSES
from lightloom.data.nuscenes.samples import Sample, read_samples
from lightloom.data.nuscenes.splits import scene_splits
from lightloom.data.nuscenes.tables import Tables, check_cameras, read_tables
from lightloom.data.toytown import ToytownConfig, toytown

MULTICAMERA_SETS: Mapping[str, str] = MappingProxyType(
    {
        "toytown": "Toytown (synthetic)",
        "nuscenes": "nuScenes (CC BY-NC-SA 4.0)",
    }
)
"""What `load_multicamera` knows by name; `nuscenes:PATH` is one's own folder in that format."""

_NAMES = {
    "train": ("train", "mini_train", "all"),
    "validation": ("val", "validation", "mini_val"),
    "test": ("test",),
}
_VERSIONS = ("v1.0-trainval", "v1.0-mini")
_HELD_BACK = 10  # one scene in so many becomes validation where the set has one other split


class MultiCameraSplits(NamedTuple):
    """Key frames in three splits, scenes whole.

    Where a set has two splits, the second is the test, as is usual for nuScenes, and scenes of the first validate.
    """

    train: tuple[Sample, ...]
    validation: tuple[Sample, ...]
    test: tuple[Sample, ...]
    channels: tuple[str, ...]
    """Names of the cameras."""
    classes: tuple[str, ...]
    name: str
    problems: tuple[Problem, ...] = ()
    """What was wrong, and what became of it."""


def load_multicamera(
    name: str,
    root: Path | None = None,
    *,
    version: str | None = None,
    cameras: tuple[str, ...] | None = None,
    limit: int | None = None,
    seed: int = 0,
    town: ToytownConfig | None = None,
) -> MultiCameraSplits:
    """A multi-camera set in three splits.

    Args:
        name: One of `MULTICAMERA_SETS`, or `nuscenes:PATH` for a folder in that format.
        root: Folder that holds the sets' folders; else `LIGHTLOOM_DATA`.
        version: Folder of the tables; None takes the largest official one that is there, or the only one.
        cameras: Channels to look through; None takes all.
        limit: Keep at most so many training scenes.
        seed: Draws the scenes that validate, and what a `limit` keeps; never the test.
        town: What to build, of `toytown`.

    Raises:
        RequestError: The name is unknown, a number is out of range, or files are missing or unfit.
    """
    if limit is not None and limit < 1:
        raise RequestError(f"`limit` is {limit}; keep at least 1 training scene.")
    tables = _tables(name, root, version, town)
    channels = _channels(tables, cameras)
    splits = _divided(name, scene_splits(tables), seed)
    if limit is not None:
        splits["train"] = _some(splits["train"], limit, seed, "limit")
    train, validation, test = (read_samples(tables, splits[split], channels) for split in _NAMES)
    problems = sample_problems(tables, (*train, *validation, *test))
    return MultiCameraSplits(train, validation, test, channels, CLASSES, name, problems)


def find_samples(
    names: Sequence[str],
    name: str,
    root: Path | None = None,
    *,
    version: str | None = None,
    cameras: tuple[str, ...] | None = None,
    town: ToytownConfig | None = None,
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """All moments of the scenes that some names are about, whatever their split, and the names of the cameras.

    Args:
        names: Names of scenes, or tokens of samples.
        name: As of `load_multicamera`, like all that follows.
        root: Likewise.
        version: Likewise.
        cameras: Likewise; where none of them is in this set, all of its own are taken.
        town: Likewise.

    Raises:
        RequestError: There is no such scene or sample, or as of `load_multicamera`.
    """
    tables = _tables(name, root, version, town)
    shared = [camera for camera in cameras or () if camera in tables.cameras()]
    scenes = {str(scene["name"]): str(scene["name"]) for scene in tables["scene"].values()}
    samples = {token: str(tables["scene"][sample["scene_token"]]["name"]) for token, sample in tables["sample"].items()}
    for each in names:
        if each not in scenes and each not in samples:
            raise RequestError(f"`{each}` is no scene and no sample of `{name}`. {nearest(each, [*scenes, *samples])}")
    concerned = dict.fromkeys(scenes.get(each) or samples[each] for each in names)
    channels = _channels(tables, tuple(shared) or None)
    return read_samples(tables, list(concerned), channels), channels


def _tables(name: str, root: Path | None, version: str | None, town: ToytownConfig | None) -> Tables:
    folder = toytown(town or ToytownConfig()) if name == "toytown" else _find(name, root)
    return read_tables(folder, version or _version(folder))


def _find(name: str, root: Path | None) -> Path:
    form, colon, path = name.partition(":")
    if colon and form == "nuscenes":
        if not path:
            raise RequestError("`nuscenes:` needs the path of a folder behind it.")
        return Path(path).expanduser()
    if name not in MULTICAMERA_SETS:
        available = (*MULTICAMERA_SETS, "nuscenes:PATH")
        raise RequestError(f"There is no multi-camera set `{name}`. {nearest(name, available)}")
    folder = given_folder(name, root)
    if folder is None or not folder.is_dir():
        looked = "no folder that holds it is named" if folder is None else f"`{folder}` is missing"
        raise RequestError(
            f"{MULTICAMERA_SETS[name]} is read from a folder `{name}/`, and {looked}: unpack the set there and name "
            "the folder above it by `LIGHTLOOM_DATA` or `--data`, or give `nuscenes:PATH`."
        )
    return folder


def _version(folder: Path) -> str:
    there = sorted(path.parent.name for path in folder.glob("*/sample_data.json"))
    official = [version for version in _VERSIONS if version in there]
    if official or len(there) == 1:
        return (official or there)[0]
    hint = f"it has {', '.join(f'`{name}`' for name in there)}; choose one" if there else "it has none"
    raise RequestError(f"`{folder}` should hold a folder of nuScenes tables, such as `v1.0-mini/`: {hint}.")


def _channels(tables: Tables, names: tuple[str, ...] | None) -> tuple[str, ...]:
    if not (available := tables.cameras()):
        raise RequestError(f"`{tables.folder}` has no camera to look through; add one to `sensor.json`.")
    selected = available if names is None else names
    check_cameras(tables, selected)
    return selected


def _divided(name: str, by_alias: Mapping[str, tuple[str, ...]], seed: int) -> dict[str, tuple[str, ...]]:
    """Scenes of the three splits."""
    splits: dict[str, tuple[str, ...]] = {}
    for split, aliases in _NAMES.items():
        splits[split] = next((by_alias[alias] for alias in aliases if by_alias.get(alias)), ())
    if not splits["train"]:
        raise RequestError(f"`{name}` has no split to train on; it has {', '.join(f'`{key}`' for key in by_alias)}.")
    if not splits["test"] and splits["validation"]:
        splits["test"], splits["validation"] = splits["validation"], ()
    for split in ("test", "validation"):
        if not splits[split]:
            splits[split] = _some(splits["train"], -(-len(splits["train"]) // _HELD_BACK), seed, split)
            splits["train"] = tuple(scene for scene in splits["train"] if scene not in splits[split])
    if not splits["train"]:
        raise RequestError(
            f"`{name}` has too few scenes to train, validate and test on different ones: {dict(by_alias)}. "
            "`splits.json`."
        )
    return splits


def _some(scenes: tuple[str, ...], count: int, seed: int, why: str) -> tuple[str, ...]:
    """`count` scenes drawn by the seed, in their order; a larger count keeps those of a smaller one."""
    order = torch.randperm(len(scenes), generator=named_generator(0 if why == "test" else seed, "scenes", why))
    selected = set(order[:count].tolist())
    return tuple(scene for place, scene in enumerate(scenes) if place in selected)
