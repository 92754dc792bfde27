"""Where the JSON files and the images of a set in the form of COCO are, by split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lightloom.common.errors import RequestError
from lightloom.data.detection.coco_page import read_page
from lightloom.data.detection.listing import hidden
from lightloom.data.detection.yolo_places import SPLITS
from lightloom.data.files import contents

WHOLE = "all"
"""The only part of a set that is not divided."""

_USUAL = "annotations/instances_train2017.json"
_YEAR = "2017"
_FILES = (
    "annotations/instances_{0}2017.json",
    "annotations/instances_{0}*.json",
    "annotations/{0}*.json",
    "{0}.json",
    "{0}[12][09][0-9][0-9].json",
    "instances_{0}*.json",
    "{0}/_annotations.coco.json",
    "{0}/annotations.json",
    "{0}/{0}.json",
    "annotations/annotations_{0}.json",
    "annotations_{0}.json",
    "{0}_annotations.json",
)
_IMAGES = ("{0}{1}", "{0}", "images/{0}{1}", "images/{0}", "images", "JPEGImages", ".")
_NAME = r"(instances_|annotations_)?{0}(\d{{4}})?(_annotations)?"


class Part(NamedTuple):
    """One JSON file, and the folders that its images may be in."""

    file: Path
    images: tuple[Path, ...]


def coco_parts(root: Path) -> dict[str, Part]:
    """The parts of a set: `train`, `val`, `test` as far as they are there, or `all` where one file names no split.

    Raises:
        RequestError: There is no file of annotations, or several of which none names a split.
    """
    parts = {split: part for split, names in SPLITS.items() if (part := _part(root, names)) is not None}
    if parts:
        return parts
    files = [path for folder in (root / "annotations", root) for path in sorted(folder.glob("*.json"))]
    pages = [path for path in files if not hidden(path) and _is_page(path)]
    if len(pages) > 1:
        raise RequestError(
            f"`{root}` has {len(pages)} files of annotations, and none is called after a split: "
            f"{', '.join(f'`{path}`' for path in pages[:6])}. Name that to learn from `{root / _USUAL}`."
        )
    if not pages:
        raise RequestError(f"`{root}` has no annotations: `{root / _USUAL}` is missing. {contents(root)}")
    name = re.sub(r"^(instances|annotations|person_keypoints)_", "", pages[0].stem)
    return {WHOLE: Part(pages[0], tuple(dict.fromkeys(_folders(root, name, "", pages[0]))))}


def _part(root: Path, names: tuple[str, ...]) -> Part | None:
    for name in names:
        for form in _FILES:
            for path in sorted(root.glob(form.format(name))):
                match = re.fullmatch(_NAME.format(name), path.stem)
                if path.is_file() and (match or path.parent.name == name):
                    year = match[2] if match and match[2] else _YEAR
                    return Part(path, tuple(dict.fromkeys(_folders(root, name, year, path))))
    return None


def _folders(root: Path, name: str, year: str, file: Path) -> Iterator[Path]:
    """Folders that are there, the likeliest first."""
    if file.parent.name == name:
        yield file.parent
    for form in _IMAGES:
        place = root / form.format(name, year)
        if place.is_dir():
            yield place


def _is_page(path: Path) -> bool:
    try:
        read_page(path)
    except RequestError:
        return False
    return True
