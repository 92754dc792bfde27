"""What a JSON file of COCO's form lists: categories, images, annotations, however exporters number and name them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lightloom.common.errors import RequestError
from lightloom.data.detection.checks import Findings, Found, match_classes
from lightloom.data.detection.texts import read_content
from lightloom.data.detection.words import flag, identity, whole

PARTS = ("images", "annotations", "categories")
_NO_PARENT = ("", "none", "null")

Id = int | str


class Listed(NamedTuple):
    """An entry of `images`: its id in words, its file name, and its size where that is stated."""

    key: str
    name: str
    size: tuple[int, int] | None


def read_page(path: Path) -> Mapping[str, list[Any]]:
    """The three lists of a file.

    Raises:
        RequestError: It cannot be read, is no JSON (names the line), or lacks one of them.
    """
    try:
        page = json.loads(read_content(path))  # which takes a byte order mark
    except json.JSONDecodeError as error:
        raise RequestError(f"`{path}`, line {error.lineno}: not JSON: {error.msg}.") from None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise RequestError(f"`{path}` is not JSON: {error}.") from None
    lacking = [part for part in PARTS if not isinstance(page, dict) or not isinstance(page.get(part), list)]
    if lacking:
        raise RequestError(
            f"`{path}` has no list `{lacking[0]}`; a file of COCO's form has `images`, `annotations`, `categories`."
        )
    return {part: page[part] for part in PARTS}


def read_categories(
    page: Mapping[str, list[Any]], path: Path, expected: Sequence[str] | None, findings: Findings
) -> tuple[dict[Id, int], tuple[str, ...]]:
    """Labels by category id, and class names in the order of the labels, which is that of the ids.

    A category that has no annotation and is the supercategory of another is a heading, as some exporters write one, and
    no class.

    Args:
        page: The three lists.
        path: Of the file, for messages.
        expected: What the names must be; None takes what is there.
        findings: Takes a note of each heading.

    Raises:
        RequestError: A category has no whole number as id or no name, two have one id or one name, or the names are not
            those asked for.
    """
    names: dict[int, str] = {}
    parents: dict[int, str] = {}
    for number, entry in enumerate(page["categories"], 1):
        label = _number(entry.get("id")) if isinstance(entry, dict) else None
        if label is None or not isinstance(entry.get("name"), str | int | float) or not str(entry["name"]).strip():
            raise RequestError(f"`{path}`: category {number} lacks an integer `id` or a `name`; give each both.")
        if label in names:
            raise RequestError(
                f"`{path}`: two categories have the same id {label}, `{names[label]}` and `{entry['name']}`; give each "
                "its own."
            )
        names[label] = str(entry["name"]).strip()
        parents[label] = str(entry.get("supercategory") or "").strip()
    used = {_number(entry.get("category_id")) for entry in page["annotations"] if isinstance(entry, dict)}
    for label in [label for label in names if label not in used and parents[label].lower() in _NO_PARENT]:
        name = names[label]
        heads = any(other != label and parent == name for other, parent in parents.items())
        doubled = sum(other == name for other in names.values()) > 1
        if heads and (expected is None or name not in expected or doubled):
            what = f"the category {label}, `{name}`, has no annotation and is the supercategory of others: no class"
            findings.remark("heading category", f"`{path}`", what, "dropped")
            del names[label]
    order = sorted(names)
    listed = tuple(names[label] for label in order)
    try:
        match_classes(listed, expected, str(path))
    except RequestError as error:
        double = {name: [label for label in order if names[label] == name] for name in listed if listed.count(name) > 1}
        ids = "".join(f" `{name}` has the ids {', '.join(map(str, labels))}." for name, labels in double.items())
        raise RequestError(f"{error}{ids}") from None
    return {label: place for place, label in enumerate(order)}, listed


def read_images(entries: list[Any], path: Path, findings: Findings) -> dict[Id, Listed]:
    """The images by their ids.

    Args:
        entries: The list of the file.
        path: Of the file, for messages.
        findings: Takes notes of doubled ids and of ids that are words.

    Raises:
        RequestError: An entry has no id or no file name.
    """
    listed: dict[Id, Listed] = {}
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or "id" not in entry or not isinstance(entry.get("file_name"), str):
            raise RequestError(f"`{path}`: image {number} of its list lacks an `id` or a `file_name`.")
        key, name = identity(entry["id"]), entry["file_name"]
        if key is None:
            raise RequestError(
                f"`{path}`: image {number} of its list, `{name}`, has the id {entry['id']!r}; give a whole number or a "
                "string."
            )
        if key in listed:
            findings.note("duplicate image", f"`{path}`, image {key}", "its id was there before", "dropped")
            continue
        width, height = whole(entry.get("width")), whole(entry.get("height"))
        size = (width, height) if width is not None and height is not None else None
        listed[key] = Listed(str(key), name, size)
    strings = [key for key in listed if isinstance(key, str)]
    if strings:
        what = f"{len(strings)} of {len(listed)} image ids are strings, the first `{strings[0]}`"
        findings.note("string id", f"`{path}`", what, "renumbered")
    return listed


def read_boxes(
    entries: list[Any], path: Path, images: Mapping[Id, Listed], labels: Mapping[Id, int], findings: Findings
) -> dict[Id, list[Found]]:
    """The boxes of each image by its id; what belongs to no image or class, or is damaged, is noted and dropped.

    Args:
        entries: The list of the file.
        path: Of the file, for messages.
        images: Those that are listed.
        labels: By category id.
        findings: Takes the notes.
    """
    boxes_by_image: dict[Id, list[Found]] = {image: [] for image in images}
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            what = f"it is {type(entry).__name__}, no object with a `bbox`"
            findings.note("damaged annotation", f"`{path}`, annotation number {number}", what, "dropped")
            continue
        where = f"`{path}`, annotation {entry.get('id', f'number {number}')}"
        box, crowd, difficult = _box(entry.get("bbox")), flag(entry.get("iscrowd")), _ignored(entry)
        if box is None:
            what = f"its `bbox` is {_short(entry.get('bbox'))}; give x, y, width, height"
            findings.note("damaged annotation", where, what, "dropped")
            continue
        if crowd is None or difficult is None:
            key = "iscrowd" if crowd is None else "ignore"
            what = f"its `{key}` is {_short(entry.get(key))}; give 0 or 1"
            findings.note("damaged annotation", where, what, "dropped")
            continue
        image, category = _known(entry.get("image_id"), images), _known(entry.get("category_id"), labels)
        if image is None:
            findings.note("unlisted image", where, f"there is no image {_short(entry.get('image_id'))}", "dropped")
        elif category is None:
            what = f"there is no category {_short(entry.get('category_id'))}"
            findings.note("unknown class", where, what, "dropped")
        else:
            boxes_by_image[image].append(
                Found(where, box, labels[category], crowd, _area(entry.get("area")), difficult)
            )
    return boxes_by_image


def _number(value: object) -> int | None:
    """A category's id."""
    number = identity(value)
    if isinstance(number, str):
        return int(number) if number.strip().lstrip("-").isdecimal() else None
    return number


def _known(value: object, table: Mapping[Id, object]) -> Id | None:
    """The id of a table that is meant, whether numbers are written as numbers or as strings on either side."""
    key = identity(value)
    if key is None or key in table:
        return key
    other: Id | None = str(key) if isinstance(key, int) else int(key) if key.isdecimal() else None
    return other if other in table else None


def _box(value: object) -> tuple[float, float, float, float] | None:
    if not isinstance(value, list) or len(value) != 4 or any(isinstance(side, bool) for side in value):
        return None
    try:
        x, y, width, height = (float(side) for side in value)
    except (TypeError, ValueError):
        return None
    return x, y, x + width, y + height


def _area(value: object) -> float | None:
    """What is stated; else it is that of the box."""
    try:
        area = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return area if math.isfinite(area) and area >= 0 else None


def _ignored(entry: Mapping[str, Any]) -> bool | None:
    """VOC's `difficult`, as sets of VOC in COCO's form have it."""
    flags = [flag(entry.get(key)) for key in ("ignore", "difficult")]
    return None if None in flags else any(flags)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
