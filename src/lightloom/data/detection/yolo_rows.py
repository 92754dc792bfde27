"""Label rows in the form of YOLO: a label, then a box, a box with keypoints, or a polygon, in shares of the sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lightloom.common.errors import RequestError
from lightloom.data.detection.checks import Findings, Found
from lightloom.data.detection.texts import read_lines

_SLACK = 0.05  # of a box that a keypoint may lie outside by
_FAR = 2.0  # shares of the image beyond which a number is one of pixels
_MANY = 3  # rows that all read as poses: chance leaves it to one or two


class KeyPoints(NamedTuple):
    """How many keypoints follow each box, and how many numbers each of them has: x, y and perhaps a visibility."""

    points: int
    numbers: int


class Row(NamedTuple):
    """One label of an image, as shares of its sides."""

    where: str
    label: int
    sides: list[float]


def read_rows(path: Path, points: KeyPoints | None, findings: Findings) -> list[Row]:
    """The rows of a label file; one that does not parse is noted and dropped.

    Args:
        path: The file.
        points: Of a pose set; None for boxes and polygons.
        findings: Takes the notes.

    Raises:
        RequestError: The file is no text, or a row is damaged and `on_invalid` is `fail`.
    """
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        where, words = f"`{path}`, line {number}", [word.rstrip(",;") for word in line.split()]
        if not words:
            continue
        words = words[0].split(",") if len(words) == 1 else words
        trouble = _trouble(words, points)
        if trouble:
            findings.note("damaged annotation", where, trouble, "dropped")
        else:
            rows.append(Row(where, int(float(words[0])), [float(word) for word in words[1:]]))
    return rows


def check_poses(rows: Sequence[Row], where: str, findings: Findings) -> None:
    """Whether what would be read as polygons are boxes with keypoints, of a set that does not say so.

    Both are rows of numbers. Those of poses all have one length, and their points lie in the box that the first four
    numbers state; of polygons that happens by chance only.

    Args:
        rows: All of a split, read without `kpt_shape`.
        where: The split, for messages.
        findings: Takes a note where there are too few rows to be sure.

    Raises:
        RequestError: Three rows or more, and every one, read as poses.
    """
    long = [row for row in rows if len(row.sides) > 4]
    if not long or len({len(row.sides) for row in long}) > 1 or not all(_pose_like(row.sides) for row in long):
        return
    spare = len(long[0].sides) - 4
    shapes = " or ".join(f"[{spare // numbers}, {numbers}]" for numbers in (2, 3) if spare % numbers == 0)
    what = (
        f"every row longer than a box ({len(long)}) reads as a box with keypoints in it as well as as a polygon; write "
        f"`kpt_shape: {shapes}` into the yaml file of a pose set, `kpt_shape: []` into that of polygons"
    )
    if len(long) >= _MANY:
        raise RequestError(f"{where}: {what}.")
    findings.note("pose or polygon", where, what, "kept")


def boxes_of(
    rows: Sequence[Row], size: tuple[int, int], classes: int, points: KeyPoints | None, findings: Findings
) -> list[Found]:
    """The boxes of an image in pixels; a polygon's is its extent.

    Args:
        rows: Its labels.
        size: (width, height) in pixels.
        classes: How many there are; a row of another one is noted and dropped.
        points: Of a pose set.
        findings: Takes the notes.
    """
    rows_in_pixels = []
    for row in rows:
        if not 0 <= row.label < classes:
            what = f"there is no class {row.label}; {classes} classes allow 0 ... {classes - 1}"
            findings.note("unknown class", row.where, what, "dropped")
            continue
        sides = row.sides[:4] if points is not None else row.sides
        x0, y0, x1, y1 = _extent(sides)
        rows_in_pixels.append(Found(row.where, (x0 * size[0], y0 * size[1], x1 * size[0], y1 * size[1]), row.label))
    return rows_in_pixels


def _trouble(words: list[str], points: KeyPoints | None) -> str:
    """Why the words are no label row; "" where they are."""
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        return f"{' '.join(words[:5])!r} is not all numbers"
    count = len(words)
    if points is not None:
        pose = 5 + points.points * points.numbers
        if count not in (5, pose):
            return f"{count} numbers; `kpt_shape` asks for {pose}, a label, a box of 4 and {points.points} points"
    elif count == 6:
        return "6 numbers; give a label with a box of 4, without a score behind it"
    elif count != 5 and (count < 7 or count % 2 == 0):
        return f"{count} numbers; give a label with a box of 4, or 3 and more points (`kpt_shape` for keypoints)"
    if not numbers[0].is_integer():
        return f"the label is {words[0]}; give a whole number"
    largest = max(map(abs, numbers[1:] if points is None else numbers[1:5]))
    return f"it has {largest:g}, and sides are shares of the image, 0 ... 1" if largest > _FAR else ""


def _pose_like(sides: list[float]) -> bool:
    x, y, width, height = sides[:4]
    spare = sides[4:]
    if len(sides) == 8 and abs(sides[0] + sides[4] - sides[2] - sides[6]) + abs(
        sides[1] + sides[5] - sides[3] - sides[7]
    ) < 0.01 * (max(sides) - min(sides)):
        return False  # the corners of a turned box
    for numbers in (2, 3):
        points = [spare[place : place + numbers] for place in range(0, len(spare), numbers)]
        if len(spare) % numbers or len(points) < 2 or (numbers == 3 and any(p[2] not in (0, 1, 2) for p in points)):
            continue
        visible = [point for point in points if point[0] or point[1]]
        reach = (0.5 + _SLACK) * width, (0.5 + _SLACK) * height
        if visible and all(abs(p[0] - x) <= reach[0] and abs(p[1] - y) <= reach[1] for p in visible):
            return True
    return False


def _extent(sides: Sequence[float]) -> tuple[float, float, float, float]:
    if len(sides) == 4:
        x, y, width, height = sides
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return min(sides[::2]), min(sides[1::2]), max(sides[::2]), max(sides[1::2])
