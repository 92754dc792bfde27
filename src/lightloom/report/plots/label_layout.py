"""Where the labels of a plot of marks go, so that none lies on another or on a mark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = 8.5  # points, as all lengths below
_LETTER = 0.62 * _SIZE  # about the width of a digit
_LINE = 1.15 * _SIZE
_MARK = 4.5  # from the middle of a mark to its edge
_GAP = 1.5
_SHORT = 6  # letters; a longer label beside its marks would lie on lines from mark to mark


class Box(NamedTuple):
    """A rectangle, in points."""

    left: float
    low: float
    right: float
    high: float

    def meets(self, other: Box) -> bool:
        """Whether the two have an area in common."""
        return self.left < other.right and other.left < self.right and self.low < other.high and other.low < self.high

    def hits(self, others: Iterable[Box]) -> int:
        """How many of the others it meets."""
        return sum(self.meets(other) for other in others)


class Label(NamedTuple):
    """Numbers of marks that lie together, and where they are written."""

    numbers: tuple[int, ...]
    box: Box


def number_marks(
    axes: Axes, marks: Sequence[tuple[int, float, float]], others: Sequence[tuple[float, float]] = ()
) -> list[Label]:
    """Write the numbers of marks beside them; marks too close for a number each share one label.

    Args:
        axes: Finished but for this: the figure is laid out for it.
        marks: Number and place of each, in data coordinates.
        others: Places of marks without a number, which labels avoid where they can.

    Returns:
        What was written, in points from the lower left corner of the figure.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None  # axes that are drawn have one
    figure.draw_without_rendering()
    scale = 72 / figure.dpi

    def at(x: float, y: float) -> tuple[float, float]:
        place = axes.transData.transform((x, y)) * scale
        return float(place[0]), float(place[1])

    numbered = {number: at(x, y) for number, x, y in marks}
    frame = axes.get_window_extent()
    labels = arrange(numbered, [at(x, y) for x, y in others], frame.x0 * scale, frame.x1 * scale)
    for label in labels:
        middle = ((label.box.left + label.box.right) / 2 / scale, (label.box.low + label.box.high) / 2 / scale)
        x, y = axes.transData.inverted().transform(middle)
        axes.text(x, y, runs(label.numbers), ha="center", va="center", size=_SIZE, zorder=4)
    return labels


def arrange(
    numbered: Mapping[int, tuple[float, float]], others: Sequence[tuple[float, float]], left: float, right: float
) -> list[Label]:
    """Labels above, below or beside their marks, where they hide least; those that would meet become one.

    Marks that hide each other have one label from the start: which of them it stands beside could not be told.

    Args:
        numbered: Place of each numbered mark, in points.
        others: Places of marks without one.
        left: Least place of a label.
        right: Greatest one.

    Returns:
        Each number in one label; no label meets another, or the numbered mark of another.
    """
    marks = {number: _mark(place) for number, place in numbered.items()}
    unnumbered = [_mark(place) for place in others]
    groups = _piles(numbered)
    while True:
        labels: list[Label] = []
        for group in groups:
            own = [marks[number] for number in group]
            occupied = {label.box: label.numbers for label in labels}
            occupied |= {marks[number]: other for other in groups if other != group for number in other}
            boxes = _boxes(runs(group), own, left, right)
            box = min(boxes, key=lambda box: (box.hits(occupied), box.hits(own) + box.hits(unnumbered)))
            if box.hits(occupied):
                near = next(other for what, other in occupied.items() if box.meets(what))
                groups = [*(one for one in groups if one not in (group, near)), tuple(sorted((*group, *near)))]
                break
            labels.append(Label(group, box))
        else:
            return labels


def runs(numbers: Sequence[int]) -> str:
    """`1, 2, 7–9` of 1, 2, 7, 8, 9; numbers in order."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    words = [f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in parts]
    return ", ".join(words)


def _piles(numbered: Mapping[int, tuple[float, float]]) -> list[tuple[int, ...]]:
    """Marks that hide each other, directly or by way of a third."""
    piles: list[tuple[int, ...]] = []
    for number, place in sorted(numbered.items()):
        hidden = [pile for pile in piles if any(math.dist(place, numbered[other]) < _MARK for other in pile)]
        joined = tuple(sorted([number, *(other for pile in hidden for other in pile)]))
        piles = [*(pile for pile in piles if pile not in hidden), joined]
    return piles


def _boxes(text: str, marks: Sequence[Box], left: float, right: float) -> list[Box]:
    """Places for a label of these marks, the usual one first: above, below, right, left."""
    width = len(text) * _LETTER
    first, last = min(mark.left for mark in marks), max(mark.right for mark in marks)
    low, high = min(mark.low for mark in marks), max(mark.high for mark in marks)
    start = max(min((first + last - width) / 2, right - width), left)
    beside = (low + high - _LINE) / 2
    corners = [(start, high + _GAP), (start, low - _GAP - _LINE)]
    if len(text) <= _SHORT:
        corners += [(x, beside) for x in (last + _GAP, first - _GAP - width) if left <= x <= right - width]
    return [Box(x, y, x + width, y + _LINE) for x, y in corners]


def _mark(place: tuple[float, float]) -> Box:
    return Box(place[0] - _MARK, place[1] - _MARK, place[0] + _MARK, place[1] + _MARK)
