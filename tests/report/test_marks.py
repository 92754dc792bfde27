from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from lightloom.report.svg import COLOURS, MOST_CELLS, MOST_MARKS, Plot, drawing, mark, mark_cells, mark_points, to_svg

HOSTILE = """</title><script>alert(1)</script>"'&{{ 7*7 }}$x^2$ url(#a) id="b" #000f00"""
SVG = "{http://www.w3.org/2000/svg}"


def drawn(figure: Figure) -> Plot:
    return Plot("a", "title", "", "label", to_svg(figure))


def titles(plot: Plot) -> list[str]:
    """The texts of all marks, as a reader of XML gets them."""
    root = ElementTree.fromstring(plot.standalone())
    groups = [group for group in root.iter(f"{SVG}g") if group.get("class", "").startswith("mark ")]
    found = [group.find(f"{SVG}title") for group in groups]
    return [title.text or "" for title in found if title is not None]


def places(plot: Plot) -> list[tuple[float, float]]:
    uses = re.findall(r'<g class="mark point">.*?<use [^>]*?x="([\d.]+)" y="([\d.]+)"', plot.source, re.DOTALL)
    return [(float(x), float(y)) for x, y in uses]


def test_a_text_comes_back_whole_and_nothing_in_it_is_markup() -> None:
    with drawing():
        figure = Figure()
        for bar, text in zip(figure.subplots().barh([0, 1], [1, 2]), (HOSTILE, "two\nlines\u00a0%"), strict=True):
            mark(bar, text)
        plot = drawn(figure)
    assert titles(plot) == [HOSTILE, "two\nlines\u00a0%"]
    assert "<script" not in plot.inline() and plot.inline().count("</title>") == 2


def test_what_cannot_stand_in_xml_is_replaced() -> None:
    with drawing():
        figure = Figure()
        (line,) = figure.subplots().plot([0, 1], [0, 1])
        mark(line, "bell \x07, half a pair \ud800")
        plot = drawn(figure)
    assert titles(plot) == ["bell �, half a pair �"]


def test_points_stand_where_the_line_goes() -> None:
    xs, ys = [0.0, 1.0, 2.0, 4.0], [0.0, 2.0, math.nan, 4.0]
    with drawing():
        figure = Figure()
        axes = figure.subplots()
        axes.plot(xs, ys)
        mark_points(axes, xs, ys, ["a", "b", "c", "d"], COLOURS["accent"])
        plot = drawn(figure)
    assert titles(plot) == ["a", "b", "d"]  # no mark where there is no value
    (left, low), (middle, between), (right, high) = places(plot)
    assert (middle - left) / (right - left) == pytest.approx(1 / 4, abs=1e-6)
    assert (between - low) / (high - low) == pytest.approx(1 / 2, abs=1e-6)


@pytest.mark.parametrize("number", [1, 2, MOST_MARKS, MOST_MARKS + 1, 1000])
def test_a_long_line_has_a_few_marks_and_keeps_its_ends(number: int) -> None:
    with drawing():
        figure = Figure()
        texts = [str(index) for index in range(number)]
        mark_points(figure.subplots(), list(range(number)), [1.0] * number, texts, COLOURS["accent"])
        found = titles(drawn(figure))
    assert len(found) == min(number, MOST_MARKS)
    assert (found[0], found[-1]) == ("0", str(number - 1))
    steps = {int(after) - int(before) for before, after in pairwise(found)}
    assert not steps or max(steps) - min(steps) <= 1


def test_cells_are_marked_unless_they_are_too_many() -> None:
    for number, marked in ((MOST_CELLS, MOST_CELLS), (MOST_CELLS + 1, 0)):
        with drawing():
            figure = Figure()
            boxes = [(float(index), 0.0, 1.0, 1.0) for index in range(number)]
            mark_cells(figure.subplots(), boxes, [f"cell {index}" for index in range(number)])
            assert len(titles(drawn(figure))) == marked
