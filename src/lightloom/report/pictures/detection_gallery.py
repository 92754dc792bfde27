"""What each case finds, over the images: a sheet an image, the truth first and dashed in all others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lightloom.report.pictures.boxes2d import annotate, colour, ink
from lightloom.report.pictures.sheets import Sheet, Tile, jpeg, montage, uri
from lightloom.report.readers.run import Run
from lightloom.report.readers.sweep import ranked
from lightloom.schemas import Box, DetectedImage, ScoredBox

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_IMAGES, MOST_CASES = 6, 7
_SIDES = (560, 440, 320, 220, 150)  # of a picture in px; the first with which all of them fit
_ROOM = 1_200_000  # bytes, for all pictures of detections on a page; boxes add a third to that
_OVERLAP = 0.5  # from which a box counts as found
_SPOKEN = 8  # boxes that a text names
_COLUMNS = 3  # of a file


@dataclass(frozen=True)
class Swatch:
    """A class and its colours in the pictures."""

    name: str
    colour: str
    ink: str


def found_sheets(run: Run) -> list[Sheet]:
    """A sheet for each of the first images."""
    if run.detections is None:
        return []
    record = run.detections.listed
    cases = ranked(run.sweep, run.detections.cases)[:MOST_CASES]
    pairs = list(zip(record.images, run.detections.pictures, strict=True))[:MOST_IMAGES]

    side = _side(pairs, len(cases) + 1)
    return [
        _sheet(number, image, _drawn(image, picture, cases, record.classes, side), record.classes)
        for number, (image, picture) in enumerate(pairs)
    ]


def swatches(run: Run) -> list[Swatch]:
    """The classes that are in the pictures, in their order."""
    if run.detections is None:
        return []
    record = run.detections.listed
    images = record.images[:MOST_IMAGES]
    labels = {box.label for image in images for box in image.truth}
    labels |= {box.label for image in images for detections in image.cases.values() for box in detections}
    return [Swatch(record.classes[label], colour(label), ink(colour(label))) for label in sorted(labels)]


def matches(truth: Sequence[Box], detections: Sequence[ScoredBox]) -> int:
    """How many objects are found: from the surest box on, each takes the object of its class that it overlaps most.

    An overlap is the area that two boxes share over the area that they cover; it counts from 0.5 on.

    Args:
        truth: Objects that are there.
        detections: Detections of one case.
    """
    free = list(truth)
    for box in sorted(detections, key=lambda box: -box.score):
        same = [other for other in free if other.label == box.label]
        nearest = max(same, key=lambda other: overlap(box, other), default=None)
        if nearest is not None and overlap(box, nearest) >= _OVERLAP:
            free.remove(nearest)
    return len(truth) - len(free)


def overlap(one: Box, other: Box) -> float:
    """The area that two boxes share over the area that they cover; 0 where neither covers any.

    Args:
        one: A box `x0, y0, x1, y1`.
        other: Another box.
    """
    (a0, b0, a1, b1), (c0, d0, c1, d1) = one.box, other.box
    shared = max(min(a1, c1) - max(a0, c0), 0.0) * max(min(b1, d1) - max(b0, d0), 0.0)
    covered = (a1 - a0) * (b1 - b0) + (c1 - c0) * (d1 - d0) - shared
    return shared / covered if covered else 0.0


def _side(pairs: Sequence[tuple[DetectedImage, Image]], panels: int) -> int:
    """The most px that pictures may have, so that all of them fit into the page."""
    for side in _SIDES:
        bare = (annotate(picture, [], [], None, [], width=_width(image, side)) for image, picture in pairs)
        if panels * sum(len(jpeg(picture)) for picture in bare) <= _ROOM:
            return side
    return _SIDES[-1]


def _width(image: DetectedImage, side: int) -> int:
    """The width, in px, of a picture with `side` px on its longer side."""
    return max(1, round(image.width * side / max(image.width, image.height)))


def _drawn(
    image: DetectedImage, picture: Image, cases: Sequence[str], classes: Sequence[str], side: int
) -> list[tuple[str, Image]]:
    """The truth, and what each case that looked at the image finds there, by name."""
    width = _width(image, side)
    boxes, labels = _arrays(image.truth)
    pictures = [("truth", annotate(picture, boxes, labels, None, classes, width=width))]
    for case in cases:
        if case in image.cases:
            detections = image.cases[case]
            scores = [box.score for box in detections]
            there = (boxes, labels)
            pictures.append((case, annotate(picture, *_arrays(detections), scores, classes, truth=there, width=width)))
    return pictures


def _arrays(boxes: Sequence[Box]) -> tuple[np.ndarray, list[int]]:
    return np.array([box.box for box in boxes], dtype=np.float64).reshape(-1, 4), [box.label for box in boxes]


def _sheet(number: int, image: DetectedImage, pictures: Sequence[tuple[str, Image]], classes: Sequence[str]) -> Sheet:
    title = f"Image {number + 1}" + (f": {image.key}" if image.key else "")
    (_, truth), *others = pictures
    tiles = (_truth(image, truth, classes), *(_tile(case, image, picture, classes) for case, picture in others))
    file = {f"detections-{number}.jpg": jpeg(montage(title, pictures, _COLUMNS), 85)}
    return Sheet(f"detections-{number}", title, "", tiles, files=file)


def _truth(image: DetectedImage, picture: Image, classes: Sequence[str]) -> Tile:
    names = [classes[box.label] for box in image.truth]
    note = _some(len(names), "object")
    words = ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
    return Tile("truth", note, f"What is there: {words or 'nothing'}.", uri(jpeg(picture), "jpeg"), crisp=False)


def _tile(case: str, image: DetectedImage, picture: Image, classes: Sequence[str]) -> Tile:
    boxes = sorted(image.cases[case], key=lambda box: -box.score)
    right = matches(image.truth, boxes)
    note = f"{right} of {len(image.truth)} found, {_some(len(boxes) - right, 'false box', 'false boxes')}"
    words = ", ".join(f"{classes[box.label]} {box.score:.2f}" for box in boxes[:_SPOKEN])
    more = f" and {len(boxes) - _SPOKEN} more" if len(boxes) > _SPOKEN else ""
    alt = f"Boxes of {case}: {words or 'none'}{more}. {note}."
    return Tile(case, note, alt, uri(jpeg(picture), "jpeg"), crisp=False)


def _some(number: int, thing: str, things: str = "") -> str:
    return f"{number or 'no'} {thing if number == 1 else things or f'{thing}s'}"
