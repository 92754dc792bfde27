"""Sets in the form of COCO: one JSON file with images, annotations and categories."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightloom.common.errors import RequestError
from lightloom.data.detection.checks import Findings, Found, make_record, match_classes, read_headers, usable
from lightloom.data.detection.records import DetectionSet, Flaws, Record


class _Listed(NamedTuple):
    """An entry of `images`."""

    key: str
    path: Path
    size: tuple[int, int] | None


def read_coco(
    annotations: Path,
    images: Path,
    *,
    classes: Sequence[str] | None = None,
    flaws: Flaws = "skip",
    decode: bool = False,
) -> DetectionSet:
    """Read a JSON file of COCO's form.

    Labels follow the categories in the order of their ids, which may skip. Images are numbered anew from 1 in the
    order of the file, and their own ids, numbers or strings, kept as keys. An image without annotations stays.

    Args:
        annotations: The JSON file.
        images: The folder that the file names are relative to; absolute ones are taken as they are.
        classes: The class names that the file must have, in its order; None takes them as they are.
        flaws: Drop or mend what is flawed and note it, or fail.
        decode: Decode every image to find those cut short.

    Raises:
        RequestError: The file is missing, does not parse (names the line) or lacks a part, the class list does not
            match, no image can be used, or `flaws` is `fail` and there is one.
    """
    findings = Findings(flaws)
    page = _parsed(annotations)
    labels, names = _categories(page["categories"], annotations)
    names = match_classes(names, classes, str(annotations))
    listed = _images(page["images"], annotations, images, findings)
    found = _annotations(page["annotations"], annotations, set(listed), labels, findings)
    headers = read_headers([entry.path for entry in listed.values()], decode=decode)
    records: list[Record] = []
    for (image, entry), header in zip(listed.items(), headers, strict=True):
        if usable(header, f"`{annotations}`, image {entry.key}", findings, entry.size):
            boxes = found.get(image, [])
            records.append(make_record(entry.path, entry.key, len(records) + 1, header, boxes, findings))
    if not records:
        raise RequestError(f"`{annotations}` has no usable image in `{images}`; is that the folder of its images?")
    return DetectionSet(annotations.stem, names, tuple(records), tuple(findings.problems))


def _parsed(path: Path) -> Mapping[str, list[Any]]:
    try:
        page = json.loads(path.read_bytes())
    except OSError as error:
        raise RequestError(f"Cannot read `{path}`: {error.strerror}.") from None
    except json.JSONDecodeError as error:
        raise RequestError(f"`{path}`, line {error.lineno}: not JSON: {error.msg}.") from None
    except (UnicodeDecodeError, RecursionError) as error:
        raise RequestError(f"`{path}` is not JSON: {error}.") from None
    parts = ("images", "annotations", "categories")
    lacking = [part for part in parts if not isinstance(page, dict) or not isinstance(page.get(part), list)]
    if lacking:
        raise RequestError(
            f"`{path}` has no list `{lacking[0]}`; a file of COCO's form has `images`, `annotations`, `categories`."
        )
    return {part: page[part] for part in parts}


def _categories(entries: list[Any], path: Path) -> tuple[dict[Any, int], tuple[str, ...]]:
    """Labels by category id, and class names in the order of the labels."""
    try:
        pairs = sorted((int(entry["id"]), entry["id"], str(entry["name"])) for entry in entries)
    except (TypeError, KeyError, ValueError):
        raise RequestError(f"`{path}`: a category lacks an integer `id` or a `name`; give each both.") from None
    if len({number for number, _, _ in pairs}) < len(pairs):
        raise RequestError(f"`{path}`: two categories have the same id; give each its own.")
    return {given: label for label, (_, given, _) in enumerate(pairs)}, tuple(name for _, _, name in pairs)


def _images(entries: list[Any], path: Path, folder: Path, findings: Findings) -> dict[int | str, _Listed]:
    listed: dict[int | str, _Listed] = {}
    for number, entry in enumerate(entries, 1):
        try:
            key, name = entry["id"], Path(entry["file_name"])
        except (TypeError, KeyError):
            raise RequestError(f"`{path}`: image {number} of its list lacks an `id` or a `file_name`.") from None
        if not isinstance(key, int | str):
            raise RequestError(f"`{path}`: image {number} of its list has the id {key!r}; give a number or a string.")
        if key in listed:
            findings.note("duplicate image", f"`{path}`, image {key}", "its id was there before", "dropped")
            continue
        sides = (entry.get("width"), entry.get("height"))
        stated = (sides[0], sides[1]) if isinstance(sides[0], int) and isinstance(sides[1], int) else None
        listed[key] = _Listed(str(key), folder / name, stated)
    strings = [key for key in listed if isinstance(key, str)]
    if strings:
        what = f"{len(strings)} of {len(listed)} image ids are strings, the first `{strings[0]}`"
        findings.note("string id", f"`{path}`", what, "renumbered")
    return listed


def _annotations(
    entries: list[Any], path: Path, images: set[int | str], labels: Mapping[Any, int], findings: Findings
) -> dict[int | str, list[Found]]:
    """The boxes of each image by its id."""
    found: dict[int | str, list[Found]] = {image: [] for image in images}
    for number, entry in enumerate(entries, 1):
        where = f"`{path}`, annotation {entry.get('id', f'number {number}') if isinstance(entry, dict) else number}"
        try:
            image, category = entry["image_id"], entry["category_id"]
            x, y, width, height = (float(side) for side in entry["bbox"])
            area = float(entry["area"]) if entry.get("area") is not None else None
            area = area if area is not None and math.isfinite(area) else None  # else that of the box
            known = image in images, category in labels
        except (TypeError, KeyError, ValueError) as error:
            findings.note("damaged annotation", where, f"it lacks a part or has a wrong one: {error!r}", "dropped")
            continue
        if not known[0]:
            findings.note("unlisted image", where, f"there is no image {image!r}", "dropped")
        elif not known[1]:
            findings.note("unknown class", where, f"there is no category {category!r}", "dropped")
        else:
            crowd = bool(entry.get("iscrowd", 0))
            found[image].append(Found(where, (x, y, x + width, y + height), labels[category], crowd, area))
    return found
