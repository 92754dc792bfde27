"""The boxes of a nuScenes set in its images, from the set as it is downloaded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lightloom.common.errors import RequestError
from lightloom.common.files import read_json, reserve, write_json
from lightloom.common.marks import claim
from lightloom.data.detection.coco import read_coco
from lightloom.data.detection.records import DetectionSet, OnInvalid
from lightloom.data.files import cache_folder
from lightloom.data.nuscenes import CLASSES, export_2d

_INDEX = "index.json"  # names of the files, written when all of them are
_VERSIONS = ("v1.0-trainval", "v1.0-mini")  # the first that is there


def read_nuscenes2d(root: Path, on_invalid: OnInvalid, decode: bool = False) -> dict[str, DetectionSet]:
    """The front camera's key frames with every 3D box drawn into them, by split.

    The first time they are computed from the tables, minutes for the whole set, and kept as COCO files: in `boxes2d/`
    of the set, or in the cache where that cannot be written to.

    Args:
        root: Folder of the set, with its tables in `v1.0-trainval`, `v1.0-mini` or a folder of your own `v1.0-...`.
        on_invalid: What to do with flawed images and annotations.
        decode: Decode every image to find torn ones.

    Raises:
        RequestError: There are no tables, or they are broken.
    """
    version = _version(root)
    exported = _kept(root, version) or _made(root, version)
    splits = {path.stem.removeprefix("mini_"): path for path in exported}
    return {
        split: read_coco(path, root, classes=CLASSES, on_invalid=on_invalid, decode=decode)
        for split, path in splits.items()
        if split in ("train", "val", "test")
    }


def _version(root: Path) -> str:
    versions = sorted(folder.name for folder in root.glob("v1.0-*") if folder.is_dir())
    if not versions:
        raise RequestError(
            f"`{root}` has no tables of nuScenes; expected a folder such as `{root / _VERSIONS[1]}`, or COCO files "
            f"such as `{root / 'train.json'}`."
        )
    return next((version for version in _VERSIONS if version in versions), versions[0])


def _places(root: Path, version: str) -> tuple[Path, Path]:
    """Places of the files: beside the tables, and in the cache for this very folder."""
    here = hashlib.sha256(str(root.resolve()).encode()).hexdigest()[:12]
    return root / "boxes2d" / version, cache_folder() / f"nuscenes2d-{here}" / version


def _kept(root: Path, version: str) -> list[Path]:
    """The files of all splits; none where a first computation was cut short."""
    for place in _places(root, version):
        if (place / _INDEX).is_file():
            return [place / name for name in read_json(place / _INDEX)]
    return []


def _made(root: Path, version: str) -> list[Path]:
    beside, cached = _places(root, version)
    try:
        place, files = beside, _written(root, version, beside)
    except RequestError:  # a set that is mounted read-only is usual, and files of these names may be somebody else's
        place, files = cached, _written(root, version, cached)
    write_json(place / _INDEX, [file.name for file in files])
    return files


def _written(root: Path, version: str, place: Path) -> list[Path]:
    reserve(claim(place, "boxes") / _INDEX)
    return list(export_2d(root, version, place).values())
