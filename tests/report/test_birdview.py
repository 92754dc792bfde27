from __future__ import annotations

import math
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from lightloom.report.pictures.bird_view import (
    MOST_BOXES,
    MOST_QUERIES,
    bird_plot,
    bird_view,
    in_words,
    matches,
    surest,
)
from lightloom.report.pictures.boxes2d import colour
from lightloom.report.pictures.ground_maps import ground_map
from lightloom.report.pictures.sheets import LEVELS
from lightloom.schemas import Box3D, ScoredBox3D

AREA = (-20.0, -10.0, -5.0, 30.0, 30.0, 3.0)  # 50 m along x, 40 m along y
SCALE = 400 / 40
CLASSES = ["car", "truck", "bus"]
SVG = "{http://www.w3.org/2000/svg}"


def box(x: float, y: float, **fields: Any) -> Box3D:
    return Box3D(**{"center": (x, y, 0), "size": (2, 4, 1.5), "yaw": 0.0, "label": 0} | fields)


def found(x: float, y: float, score: float = 0.5, **fields: Any) -> ScoredBox3D:
    return ScoredBox3D(**{"center": (x, y, 0), "size": (2, 4, 1.5), "yaw": 0.0, "label": 0, "score": score} | fields)


def drawn(*boxes: Box3D, **fields: Any) -> ElementTree.Element:
    return ElementTree.fromstring(bird_plot("a", "title", AREA, CLASSES, boxes, **fields).standalone())


def points(path: str) -> np.ndarray:
    return np.array([[float(part) for part in pair] for pair in re.findall(r"(-?[\d.]+) (-?[\d.]+)", path)])


def footprints(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [path for path in root.iter(f"{SVG}path") if path.find(f"{SVG}title") is not None]


def at(x: float, y: float) -> list[float]:
    """Where a point is drawn: left is y up to 30 m, the top is x up to 30 m."""
    return [(30 - y) * SCALE, (30 - x) * SCALE]


def test_forward_is_up_and_left_is_on_the_left() -> None:
    root = drawn(box(10, 5))
    assert root.get("viewBox") == "0 0 400 500"
    (path,) = footprints(root)
    expected = [at(12, 6), at(12, 4), at(8, 4), at(8, 6)]
    np.testing.assert_allclose(points(path.get("d") or ""), expected, atol=0.06)
    assert path.get("fill") == colour(0) and path[0].text == "car, 11 m away"


def test_a_turned_box_points_where_its_yaw_says() -> None:
    root = drawn(box(0, 0, yaw=math.pi / 2, label=1))
    (path,) = footprints(root)
    assert sorted(map(tuple, points(path.get("d") or ""))) == sorted(
        map(tuple, [at(x, y) for x in (-1, 1) for y in (-2, 2)])
    )
    (line,) = [path for path in root.iter(f"{SVG}path") if path.get("stroke-width") == "1.1"]
    np.testing.assert_allclose(points(line.get("d") or ""), [at(0, 0), at(0, 2)], atol=0.06)


def test_an_arrow_is_as_long_as_the_way_of_a_second() -> None:
    def lines(velocity: tuple[float, float] | None) -> np.ndarray:
        root = drawn(box(5, 5, velocity=velocity))
        (line,) = [path for path in root.iter(f"{SVG}path") if path.get("stroke-width") == "1.1"]
        return points(line.get("d") or "")

    moving = lines((3.0, -4.0))
    np.testing.assert_allclose(moving[2:4], [at(5, 5), at(8, 1)], atol=0.06)
    sides = np.linalg.norm(moving[[4, 6]] - moving[5], axis=1) / SCALE
    np.testing.assert_allclose(sides, 0.7, atol=0.02)
    assert len(lines((0.1, 0.1))) == len(lines(None)) == 2


def test_rings_are_around_the_ego_vehicle() -> None:
    root = drawn()
    rings = list(root.iter(f"{SVG}circle"))
    assert {(ring.get("cx"), ring.get("cy")) for ring in rings} == {("300.0", "300.0")}
    assert [float(ring.get("r") or 0) for ring in rings] == [100, 200, 300]
    assert [text.text for text in root.iter(f"{SVG}text")] == ["10 m", "20 m", "30 m"]


def test_only_the_surest_are_drawn_and_lie_on_top() -> None:
    many = [found(0, 0, score=index / 200) for index in range(100)]
    assert [one.score for one in surest(many)[:2] if isinstance(one, ScoredBox3D)] == [0.495, 0.49]
    paths = footprints(drawn(*many, truth=[box(1, 1)] * 100))
    assert len(paths) == MOST_BOXES and (paths[-1][0].text or "").startswith("car 0.49")
    assert len(surest([box(0, 0)] * 100)) == 100


def test_queries_are_dots_where_they_are() -> None:
    queries = [(10.0, 5.0, 0.9), *((0.0, 0.0, 0.1),) * 400]
    root = drawn(queries=queries)
    (dots,) = [path for path in root.iter(f"{SVG}path") if path.get("style")]
    assert (dots.get("d") or "").startswith("M250 200h0M300 300h0")
    assert len(re.findall("h0", dots.get("d") or "")) == MOST_QUERIES


def test_hostile_names_stay_text() -> None:
    name = """<script>alert(1)</script>"'&"""
    plot = bird_plot("a", name, AREA, [name], [box(0, 0)])
    root = ElementTree.fromstring(plot.standalone())
    assert (footprints(root)[0][0].text or "").startswith(name)
    assert "<script" not in plot.inline() and 'aria-label="From above' in plot.inline()


def test_plain_values_make_the_same_file() -> None:
    row = {"center": [10, 5, 0], "size": [2, 4, 1.5], "yaw": 0.3, "velocity": None, "label": 0, "score": 0.5}
    plain = bird_view([row], AREA, CLASSES, truth=[{key: row[key] for key in ("center", "size", "yaw", "label")}])
    whole = bird_plot("above", "what is found", AREA, CLASSES, [ScoredBox3D(**row)], [box(10, 5, yaw=0.3)])
    assert plain == whole.standalone() and ElementTree.fromstring(plain).tag == f"{SVG}svg"
    with pytest.raises(ValueError, match="score"):
        bird_view([row | {"score": 1.5}], AREA, CLASSES)


def test_the_page_has_it_in_the_colours_of_its_theme() -> None:
    inline = bird_plot("a", "title", AREA, CLASSES, [box(0, 0)], [box(1, 1)]).inline()
    assert "var(--ink)" in inline and "var(--line)" in inline and "var(--accent)" in inline
    assert not re.search(r"#0[0-9a-f]0f0[0-9a-f]", inline)


def test_an_object_is_found_less_than_two_metres_away_and_once() -> None:
    truth = [box(0, 0), box(3, 0), box(0, 0, label=1)]
    assert matches(truth, [found(1.99, 0)]) == 1
    assert matches(truth[:1], [found(2.0, 0)]) == 0
    assert matches(truth[:1], [found(0.1, 0), found(0.2, 0)]) == 1
    assert matches(truth, [found(0, 0, label=1), found(0.5, 0.5)]) == 2
    # the surest takes the first object, so the other has to take the second
    assert matches(truth[:2], [found(1.4, 0, 0.9), found(1.2, 0, 0.8)]) == 2
    assert matches(truth, []) == matches([], [found(0, 0)]) == 0


def test_boxes_are_told_by_score_or_by_number() -> None:
    assert in_words([found(0, 0, 0.91, label=2), found(0, 0, 0.4)], CLASSES) == "bus 0.91, car 0.40"
    assert in_words([box(0, 0), box(0, 0, label=1), box(1, 1)], CLASSES) == "2 car, 1 truck"
    assert in_words([found(0, 0)] * 10, CLASSES).endswith("and 2 more") and in_words([], CLASSES) == "nothing"


def test_a_cell_of_the_ground_is_where_it_is_from_above() -> None:
    rows, columns = 8, 10  # of 5 m each
    values = np.zeros((rows, columns))
    row, column = 6, 7
    values[row, column] = 1.0
    x, y = -20 + 5 * (column + 0.5), -10 + 5 * (row + 0.5)
    picture = ground_map(values, AREA, np.zeros((0, 7)))
    shades = np.asarray(picture)
    assert shades.shape[0] / shades.shape[1] == 10 / 8 and (shades == LEVELS - 1).mean() == pytest.approx(1 / 80)
    left, top = (np.array(at(x, y)) * picture.width / 400).astype(int)
    assert shades[top, left] == LEVELS - 1


def test_outlines_and_queries_lie_on_the_map() -> None:
    values = np.zeros((8, 10))
    flat = np.asarray(ground_map(values, AREA, np.zeros((0, 7))))
    assert (flat == 0).all()
    boxes = np.array([[10.0, 5.0, 0.0, 4.0, 8.0, 2.0, 0.0]])
    picture = ground_map(values, AREA, boxes, [(-10.0, 20.0, 0.9)])
    shades, unit = np.asarray(picture), picture.width / 400
    for x, y in ((14, 5), (6, 5), (10, 3)):
        left, top = np.array(at(x, y)) * unit
        near = shades[int(top) - 1 : int(top) + 2, int(left) - 1 : int(left) + 2]
        assert (near == LEVELS + 1).any()
    left, top = (np.array(at(10, 5)) * unit).astype(int)
    assert shades[top, left] == 0
    left, top = (np.array(at(-10, 20)) * unit).astype(int)
    assert shades[top, left] == LEVELS + 1
    colours = np.asarray(picture.convert("RGB"))
    assert (colours[top, left] == 255).all()
