"""Maps of the ground: how strong the features of each case are, where a teacher is listened to, where queries look.

As from above, forward is up and left is on the left; a map has rows along y and columns along x.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightloom.report.pictures.bird_view import Area, as_rows
from lightloom.report.pictures.boxes3d import corners
from lightloom.report.pictures.sheets import LEVELS, Sheet, Tile, coloured, enlarged, montage, png, scale, spanned, uri
from lightloom.report.readers.detection3d import Detections3D
from lightloom.report.units import number

if TYPE_CHECKING:
    from PIL.Image import Image

Array = NDArray[np.float64]

MOST_QUERIES = 100
HEATMAP = "mask"
_CAPTION = (
    "How strong features are, each map on a scale of its own. Outlines: what is there; dots: where queries end up, "
    "larger where they are surer."
)
_COLOURS = "viridis"
_SIDE = 240  # px of a map on the page, at least
_DARK, _PALE = LEVELS, LEVELS + 1  # places in the palette, behind the colours of the map
_DOT = 3.4  # radius in px of a query that is sure


def from_above(values: Array) -> Array:
    """A map [rows along y, columns along x] as a picture: forward, along x, is up; left, along y, is on the left."""
    return values.T[::-1, ::-1]


def ground_map(values: Array, area: Area, boxes: Array, queries: Sequence[tuple[float, float, float]] = ()) -> Image:
    """A map of the ground with outlines of boxes and dots of queries on it.

    Args:
        values: [rows, columns] over the area; row i has y0 ... y1, column j x0 ... x1. The least is darkest.
        area: x0, y0, z0, x1, y1, z1 in m.
        boxes: [n, 7], x, y, z, width, length, height, yaw: outlined.
        queries: x, y, score; the `MOST_QUERIES` of greatest score are dots, larger where it is greater.

    Returns:
        A picture with a palette.
    """
    from PIL import ImageDraw

    picture = enlarged(coloured(from_above(spanned(values)), _COLOURS), _SIDE)
    picture.putpalette([*(picture.getpalette() or [])[: 3 * LEVELS], 0, 0, 0, 255, 255, 255])
    x0, y0, _, x1, y1, _ = area
    across, up = picture.width / (y1 - y0), picture.height / (x1 - x0)
    draw = ImageDraw.Draw(picture)
    for footprint in corners(boxes)[:, [0, 1, 5, 4], :2]:
        outline = [(float((y1 - y) * across), float((x1 - x) * up)) for x, y in footprint]
        draw.polygon(outline, outline=_PALE)
    for x, y, score in sorted(queries, key=lambda query: -query[2])[:MOST_QUERIES][::-1]:
        left, top, radius = (y1 - y) * across, (x1 - x) * up, _DOT * (0.35 + 0.65 * score**0.5)
        draw.ellipse((left - radius, top - radius, left + radius, top + radius), fill=_PALE, outline=_DARK)
    return picture


def ground_sheet(detections: Detections3D, place: int, cases: Sequence[str]) -> Sheet | None:
    """The maps of one sample, None where it has none.

    Args:
        detections: What a run left.
        place: Of the sample, from 0.
        cases: Names of the cases, in order.
    """
    sample, ground, area = detections.shown[place], detections.ground[place], detections.listed.area
    boxes = as_rows(sample.truth)
    tiles, pictures = [], []
    if ground.heatmap is not None:
        picture = ground_map(ground.heatmap, area, boxes)
        alt = f"Mask of sample {place + 1} on the ground, {_grid(ground.heatmap)}: most at the objects."
        tiles.append(Tile(HEATMAP, "where a teacher is listened to", alt, uri(png(picture), "png")))
        pictures.append((HEATMAP, picture))
    for case in cases:
        if case in ground.cases:
            values, queries = ground.cases[case], sample.queries.get(case, [])
            picture = ground_map(values, area, boxes, queries)
            alt = f"Ground features of {case} at sample {place + 1}, {_grid(values)}, {_span(values)}."
            tiles.append(Tile(case, _note(values, len(queries)), alt, uri(png(picture), "png")))
            pictures.append((case, picture))
    if not tiles:
        return None
    file = {f"ground-{place}.png": png(montage(f"Ground, sample {place + 1}", pictures, 4))}
    bar = scale(_COLOURS, "least", "most")
    return Sheet(f"ground-{place}", "Maps of the ground", _CAPTION, tuple(tiles), bar, file)


def _note(values: Array, queries: int) -> str:
    """What the colours span, and how many queries are shown."""
    dots = f"; {min(queries, MOST_QUERIES)} of {queries} queries" if queries > MOST_QUERIES else ""
    return f"{_span(values)}{dots}"


def _span(values: Array) -> str:
    return f"{number(float(values.min()), 2)} to {number(float(values.max()), 2)}"


def _grid(values: Array) -> str:
    return f"{values.shape[0]} × {values.shape[1]} cells"
