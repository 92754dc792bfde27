"""Samples from above: what is there and what a case finds, forward up and left on the left, as SVG.

The ego vehicle stands in the middle of rings. A box is filled in the colour of its class, a line goes from its middle
to its front, and an arrow is the way that it goes in a second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightloom.report.pictures.boxes2d import colour
from lightloom.report.pictures.boxes3d import corners
from lightloom.report.readers.detection3d import REACH
from lightloom.report.svg import COLOURS, Plot
from lightloom.report.units import rounded
from lightloom.schemas import Box3D, DetectedSample, ScoredBox3D

Array = NDArray[np.float64]
Area = tuple[float, float, float, float, float, float]

TRUTH = "truth"
MOST_BOXES = 60
"""Boxes of a case that are drawn, the surest."""
MOST_QUERIES = 300
_WIDE = 400.0  # of a drawing, in its own units
_STEPS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)  # between rings, in m
_MOST_RINGS = 3.2  # in half the longer side
_EGO = ((2.3, 0.0), (1.5, 0.95), (-2.3, 0.95), (-2.3, -0.95), (1.5, -0.95))  # a car that points forward, in m
_SLOW = 0.2  # m/s, below which nothing moves
_HEAD = 0.7  # of an arrow, in m along each side
_TURN = 2.6  # rad between an arrow and the sides of its head
_SPOKEN = 8  # boxes that a text names


def bird_plot(
    name: str,
    title: str,
    area: Area,
    classes: Sequence[str],
    detections: Sequence[Box3D],
    truth: Sequence[Box3D] = (),
    queries: Sequence[tuple[float, float, float]] = (),
) -> Plot:
    """A sample from above.

    Args:
        name: Of the drawing, `[a-z0-9-]`, unique on a page.
        title: What it shows, in a few words.
        area: x0, y0, z0, x1, y1, z1 in the ego frame in m; what is outside is cut off.
        classes: Names of the classes.
        detections: Boxes that are filled; of found ones the surest `MOST_BOXES`.
        truth: Boxes that are there, dashed.
        queries: x, y and score of what a decoder looked at last; the `MOST_QUERIES` of greatest score are dots.
    """
    drawn_boxes = surest(detections)
    place = _Place(area)
    parts = [
        _ground(place, area),
        _filled(place, drawn_boxes, classes),
        _dashed(place, truth),
        _fronts(place, drawn_boxes),
        _dots(place, queries),
        f'<path d="{place.line(_EGO)}Z" fill="{COLOURS["accent"]}" stroke="{COLOURS["surface"]}"/>',
    ]
    box = f"0 0 {_WIDE:g} {place.height:g}"
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" width="{_WIDE:g}" height="{place.height:g}">'
    source = f"{opening}{''.join(parts)}</svg>\n"
    return Plot(name, title, "", f"From above, {title}: {in_words(drawn_boxes, classes)}.", source)


def bird_view(
    detections: Sequence[Mapping[str, Any]],
    area: Area,
    classes: Sequence[str],
    *,
    truth: Sequence[Mapping[str, Any]] = (),
) -> str:
    """A sample from above as a file of its own, from plain values.

    Args:
        detections: Boxes as `detections3d.json` has them: `center`, `size`, `yaw`, `velocity`, `label`, `score`.
        area: x0, y0, z0, x1, y1, z1 in the ego frame in m; what is outside is cut off.
        classes: Names of the classes.
        truth: Boxes that are there, without a score; drawn dashed.

    Returns:
        SVG text.

    Raises:
        ValueError: A box lacks a part, or one is not what it should be.
    """
    boxes, there = [ScoredBox3D.model_validate(row) for row in detections], [Box3D.model_validate(row) for row in truth]
    return bird_plot("above", "what is found", area, classes, boxes, there).standalone()


def bird_plots(
    sample: DetectedSample, place: int, area: Area, classes: Sequence[str], cases: Sequence[str]
) -> list[Plot]:
    """The truth of a sample from above, then what each case that looked at it finds there, `bird-MOMENT-CASE`.

    Args:
        sample: The sample.
        place: Its number, from 0.
        area: Where the detectors look.
        classes: Names of the classes.
        cases: Names of the cases, in order; case `k` has the number k + 1, the truth 0.
    """
    plots = [bird_plot(f"bird-{place}-0", f"sample {place + 1}, {TRUTH}", area, classes, sample.truth)]
    for number, case in enumerate(cases, 1):
        if case in sample.cases:
            title = f"sample {place + 1}, {case}"
            queries = sample.queries.get(case, [])
            detections = sample.cases[case]
            plots.append(bird_plot(f"bird-{place}-{number}", title, area, classes, detections, sample.truth, queries))
    return plots


def surest(boxes: Sequence[Box3D]) -> list[Box3D]:
    """The boxes to draw: of detections those that are surest, surest first; of the truth all."""
    detections = [box for box in boxes if isinstance(box, ScoredBox3D)]
    return [*sorted(detections, key=lambda box: -box.score)[:MOST_BOXES]] if detections else list(boxes)


def matches(truth: Sequence[Box3D], detections: Sequence[ScoredBox3D]) -> int:
    """How many objects are found, as nuScenes counts it: less than `REACH` apart on the ground.

    From the surest box on, each takes the nearest object of its class that is still free.

    Args:
        truth: Objects that are there.
        detections: Detections of one case.
    """
    free = list(truth)
    for box in sorted(detections, key=lambda box: -box.score):
        same = [other for other in free if other.label == box.label]
        nearest = min(same, key=lambda other: _apart(box, other), default=None)
        if nearest is not None and _apart(box, nearest) < REACH:
            free.remove(nearest)
    return len(truth) - len(free)


def as_rows(boxes: Sequence[Box3D]) -> Array:
    """Boxes as [n, 7]: x, y, z, width, length, height, yaw."""
    return np.array([(*box.center, *box.size, box.yaw) for box in boxes], dtype=np.float64).reshape(-1, 7)


def in_words(boxes: Sequence[Box3D], classes: Sequence[str]) -> str:
    """Boxes in words: each with its score, the surest first, or how many of each class are there.

    Args:
        boxes: Objects or detections.
        classes: Names of the classes.
    """
    sure = sorted((box for box in boxes if isinstance(box, ScoredBox3D)), key=lambda box: -box.score)
    detections = [f"{classes[box.label]} {box.score:.2f}" for box in sure]
    more = f" and {len(detections) - _SPOKEN} more" if len(detections) > _SPOKEN else ""
    names = [classes[box.label] for box in boxes]
    counts = ", ".join(f"{names.count(name)} {name}" for name in dict.fromkeys(names))
    return f"{', '.join(detections[:_SPOKEN])}{more}" if detections else counts or "nothing"


class _Place:
    """Where points of the ego frame are in a drawing."""

    def __init__(self, area: Area) -> None:
        x0, y0, _, x1, y1, _ = area
        self.scale = _WIDE / (y1 - y0)
        self.height = round((x1 - x0) * self.scale, 1)
        self._top, self._left = x1, y1

    def at(self, x: float, y: float) -> tuple[float, float]:
        return (self._left - y) * self.scale, (self._top - x) * self.scale

    def line(self, points: Iterable[Sequence[float]]) -> str:
        """A path through points [k, 2] in m."""
        return "M" + "L".join("{:.1f} {:.1f}".format(*self.at(point[0], point[1])) for point in points)


def _ground(place: _Place, area: Area) -> str:
    """Rings around the ego vehicle, their radii, and where the detectors stop looking."""
    x0, y0, _, x1, y1, _ = area
    half = max(x1 - x0, y1 - y0) / 2
    step = next((step for step in _STEPS if half / step <= _MOST_RINGS), half)
    farthest = max(abs(x0), abs(x1), abs(y0), abs(y1))
    radii = [step * number for number in range(1, int(farthest / step + 1e-9) + 1)]
    x, y = place.at(0, 0)
    rings = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius * place.scale:.1f}"/>' for radius in radii)
    texts = "".join(
        f'<text x="{x + 0.71 * radius * place.scale + 2:.1f}" y="{y - 0.71 * radius * place.scale:.1f}">'
        f"{rounded(radius)} m</text>"
        for radius in radii
    )
    frame = f'<rect x="0.5" y="0.5" width="{_WIDE - 1:g}" height="{place.height - 1:g}"/>'
    line, muted = COLOURS["line"], COLOURS["muted"]
    return (
        f'<g fill="none" stroke="{line}">{rings}{frame}</g>'
        f'<g fill="{muted}" font-size="11" font-family="DejaVu Sans, sans-serif">{texts}</g>'
    )


def _filled(place: _Place, boxes: Sequence[Box3D], classes: Sequence[str]) -> str:
    """A footprint a box, the surest on top; each tells what it is."""
    shapes = [
        f'<path fill="{colour(box.label)}" d="{place.line(footprint)}Z"><title>{_said(box, classes)}</title></path>'
        for box, footprint in zip(boxes, _footprints(boxes), strict=True)
    ]
    ink = COLOURS["ink"]
    return f'<g fill-opacity="0.8" stroke="{ink}" stroke-width="0.7">{"".join(shapes[::-1])}</g>' if shapes else ""


def _dashed(place: _Place, truth: Sequence[Box3D]) -> str:
    outlines = "".join(f"{place.line(footprint)}Z" for footprint in _footprints(truth))
    style = f'fill="none" stroke="{COLOURS["ink"]}" stroke-width="0.9" stroke-dasharray="3 2"'
    return f'<path {style} d="{outlines}"/>' if outlines else ""


def _fronts(place: _Place, boxes: Sequence[Box3D]) -> str:
    """A line from the middle of each box to its front, and how far it goes in a second."""
    fronts = (place.line([box.center, front]) for box, front in zip(boxes, _front_ends(boxes), strict=True))
    lines = "".join((*fronts, *(_arrow(place, box) for box in boxes)))
    return f'<path fill="none" stroke="{COLOURS["ink"]}" stroke-width="1.1" d="{lines}"/>' if lines else ""


def _arrow(place: _Place, box: Box3D) -> str:
    if box.velocity is None or math.hypot(*box.velocity) < _SLOW:
        return ""
    (x, y, _), (vx, vy) = box.center, box.velocity
    tip, way = (x + vx, y + vy), math.atan2(vy, vx)
    sides = [(tip[0] + _HEAD * math.cos(way + turn), tip[1] + _HEAD * math.sin(way + turn)) for turn in (_TURN, -_TURN)]
    return place.line([(x, y), tip]) + place.line([sides[0], tip, sides[1]])


def _dots(place: _Place, queries: Sequence[tuple[float, float, float]]) -> str:
    """Lines of no length with round ends: the shortest that a dot can be written."""
    best = sorted(queries, key=lambda query: -query[2])[:MOST_QUERIES]
    dots = "".join("M{:.0f} {:.0f}h0".format(*place.at(x, y)) for x, y, _ in best)
    style = f'style="stroke-linecap:round" fill="none" stroke="{COLOURS["accent"]}" stroke-width="2.2"'
    return f'<path {style} stroke-opacity="0.45" d="{dots}"/>' if dots else ""


def _footprints(boxes: Sequence[Box3D]) -> list[Array]:
    """The corners of each on the ground, [4, 2]: front left, front right, back right, back left."""
    return list(corners(as_rows(boxes))[:, [0, 1, 5, 4], :2])


def _front_ends(boxes: Sequence[Box3D]) -> Array:
    """The middle of the front of each, [n, 2]."""
    return np.asarray(corners(as_rows(boxes))[:, :2, :2].mean(1))


def _said(box: Box3D, classes: Sequence[str]) -> str:
    score = f" {box.score:.2f}" if isinstance(box, ScoredBox3D) else ""
    speed = f", {rounded(math.hypot(*box.velocity), 2)} m/s" if box.velocity is not None else ""
    return escape(f"{classes[box.label]}{score}, {rounded(math.hypot(*box.center[:2]), 2)} m away{speed}")


def _apart(one: Box3D, other: Box3D) -> float:
    return math.hypot(one.center[0] - other.center[0], one.center[1] - other.center[1])
