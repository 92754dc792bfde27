"""Pictures of detections: boxes with the name and the score of what was found, over the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lightloom.report.svg import shown

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont

PALETTE = (
    "#56b4e9",
    "#e69f00",
    "#009e73",
    "#f0e442",
    "#cc79a7",
    "#d55e00",
    "#0072b2",
    "#ffffff",
    "#b4f0a0",
    "#9467ff",
)
"""Told apart by colour-blind readers (Okabe and Ito, 2008, up to white, which stands for black: that is lost on most
photographs); a pale green and a violet that stay as far from all others make them ten."""
_DARK, _PALE = "#000000", "#ffffff"
_MIDDLE = 0.179  # luminance at which black and white stand out equally (WCAG 2.2)
_DASH, _GAP = 5, 4  # of a dashed line, in line widths
_LETTERS = 24  # of a name on a box
_COVER = 0.1  # of a picture, that names may hide at most

_Rectangle = tuple[float, float, float, float]


class Marked(NamedTuple):
    """One box in px of the picture: `x0, y0, x1, y1`, its class and how sure it is."""

    at: _Rectangle
    label: int
    score: float | None


def colour(label: int) -> str:
    """The colour of a class, the same in every picture. Beyond ten it comes again; names on boxes tell those apart."""
    return PALETTE[(label + label // len(PALETTE)) % len(PALETTE)]


def ink(background: str) -> str:
    """Black or white, whichever is read more easily on a colour `#rrggbb`."""
    parts = [int(background[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return _DARK if luminance > _MIDDLE else _PALE


def annotate(
    image: NDArray[np.uint8] | Image,
    boxes: ArrayLike,
    labels: Sequence[int],
    scores: Sequence[float] | None,
    classes: Sequence[str],
    *,
    truth: tuple[ArrayLike, Sequence[int]] | None = None,
    width: int | None = None,
) -> Image:
    """An image with what was found in it.

    The best lie on top and are named first; names stop where they would hide too much, boxes do not.

    Args:
        image: uint8 [3, H, W] RGB, or a picture.
        boxes: [n, 4], `x0, y0, x1, y1` in px of `image`.
        labels: [n], of the boxes: indices into `classes`. One outside is shown by its number.
        scores: [n], of the boxes, 0 ... 1; None where there are none.
        classes: Names of the classes.
        truth: Boxes [m, 4] and labels [m] of what is there, drawn dashed and without a name.
        width: Of the picture that comes back, in px; that of `image` where None. Lines and letters keep their size.

    Returns:
        An RGB picture; `image` stays as it is.

    Raises:
        ValueError: The image is of another shape, a box is not finite, or there is not one label and score a box.
    """
    from PIL import ImageDraw

    picture = _as_picture(image)
    scale = 1.0 if width is None else width / picture.width
    picture = picture.resize((round(scale * picture.width), max(1, round(scale * picture.height))))
    marks = sorted(_boxes(boxes, labels, scores, scale, picture), key=lambda box: box.score or 0.0)
    draw = ImageDraw.Draw(picture)
    line = max(2, round(max(picture.size) / 200))
    for box in _boxes(*truth, None, scale, picture) if truth is not None else ():
        _dashed(draw, box.at, _DARK, line + 2)
        _dashed(draw, box.at, colour(box.label), line)
    for box in marks:
        _outline(draw, box.at, colour(box.label), line)
    letters = min(max(11, max(picture.size) / 26), 22)
    write_names(draw, marks[::-1], classes, picture.size, letters=letters)
    return picture


def font(size: float) -> FreeTypeFont:
    """Bold DejaVu Sans, which matplotlib brings along: it has the letters of most languages."""
    return _font(round(size))


@lru_cache
def _font(size: int) -> FreeTypeFont:
    from matplotlib import get_data_path
    from PIL import ImageFont

    return ImageFont.truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans-Bold.ttf", size)


def _as_picture(image: NDArray[np.uint8] | Image) -> Image:
    from PIL import Image as pil

    if isinstance(image, pil.Image):
        return image.convert("RGB")
    if image.ndim != 3 or image.shape[0] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(
            f"the image is {image.dtype} of shape {list(image.shape)}; expected uint8 [3, H, W], RGB. "
            "Transpose one of [H, W, 3]; multiply one of 0 ... 1 by 255 and round it."
        )
    return pil.fromarray(np.ascontiguousarray(image.transpose(1, 2, 0)))


def _boxes(
    boxes: ArrayLike, labels: Sequence[int], scores: Sequence[float] | None, scale: float, picture: Image
) -> Iterator[Marked]:
    """The boxes on a picture that is so much larger than what they were found in."""
    places = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    if len(labels) != len(places) or (scores is not None and len(scores) != len(places)):
        words = f" and {len(scores)} scores" if scores is not None else ""
        raise ValueError(f"there are {len(places)} boxes, {len(labels)} labels{words}; give one of each for every box")
    if not np.isfinite(places).all():
        raise ValueError("a box is not finite; leave it out")
    most = np.array([picture.width - 1, picture.height - 1] * 2)
    for place, label, score in zip(places, labels, scores if scores is not None else [None] * len(labels), strict=True):
        # the far edge is the first pixel outside
        x0, y0, x1, y1 = np.clip(scale * place - (0, 0, 1, 1), 0, most)
        yield Marked((x0, y0, max(x0, x1), max(y0, y1)), int(label), None if score is None else float(score))


def _outline(draw: ImageDraw, at: _Rectangle, tint: str, line: int) -> None:
    """Dark on either side of the colour, so that it shows on any ground."""
    x0, y0, x1, y1 = at
    draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline=_DARK, width=line + 2)
    draw.rectangle(at, outline=tint, width=line)


def _dashed(draw: ImageDraw, at: _Rectangle, tint: str, line: int) -> None:
    x0, y0, x1, y1 = at
    for (ax, ay), (bx, by) in (((x0, y0), (x1, y0)), ((x0, y1), (x1, y1)), ((x0, y0), (x0, y1)), ((x1, y0), (x1, y1))):
        length = max(bx - ax, by - ay)
        for start in np.arange(0.0, length, (_DASH + _GAP) * 2):
            near, far = start / length, min(1.0, (start + 2 * _DASH) / length)
            ends = (ax + near * (bx - ax), ay + near * (by - ay), ax + far * (bx - ax), ay + far * (by - ay))
            draw.line(ends, fill=tint, width=line)


def write_names(
    draw: ImageDraw,
    marks: Sequence[Marked],
    classes: Sequence[str],
    size: tuple[int, int],
    *,
    letters: float,
    cover: float = _COVER,
) -> None:
    """Write the name of each box at one of its corners where no other name is.

    Args:
        draw: The picture.
        marks: The boxes; names of the first go first.
        classes: Names of the classes.
        size: Width and height of the picture in px.
        letters: Size of the letters in px.
        cover: Part of the picture that names may hide at most.
    """
    typeface = font(letters)
    occupied: list[_Rectangle] = []
    room = cover * size[0] * size[1]
    for box in marks:
        text = _said(box, classes)
        _, top, right, bottom = typeface.getbbox(text)
        wide, high = right + 6, bottom - top + 6
        free = (
            place for place in _places(box.at, wide, high, size) if not any(_touch(place, near) for near in occupied)
        )
        place = next(free, None)
        if place is None or wide * high > room:
            continue
        room -= wide * high
        occupied.append(place)
        draw.rectangle(place, fill=colour(box.label), outline=_DARK)
        draw.text((place[0] + 3, place[1] + 3 - top), text, fill=ink(colour(box.label)), font=typeface)


def _said(box: Marked, classes: Sequence[str]) -> str:
    name = shown(classes[box.label], _LETTERS) if 0 <= box.label < len(classes) else f"class {box.label}"
    return name if box.score is None else f"{name} {box.score:.2f}"


def _places(at: _Rectangle, wide: float, high: float, size: tuple[int, int]) -> Iterator[_Rectangle]:
    """Places for a name of such a size at a box: above, below, and inside along its edges; always in sight."""
    x0, y0, x1, y1 = at
    for x, y in (
        (x0, y0 - high),
        (x0, y0 + 1),
        (x0, y1 + 1),
        (x0, y1 - high),
        (x1 - wide, y0 - high),
        (x1 - wide, y1 + 1),
    ):
        if 0 <= y <= size[1] - high and wide <= size[0]:
            left = min(max(x, 0.0), size[0] - wide)
            yield left, y, left + wide, y + high


def _touch(one: _Rectangle, other: _Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
