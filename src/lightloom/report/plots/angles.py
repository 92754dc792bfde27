"""How far gradients that light measures turn from the exact ones: by epoch, and along what is varied."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from lightloom.report.plots.line_styles import (
    MOST_LINES,
    Stroke,
    axes_labels,
    legend,
    legend_height,
    panels,
    spread_out,
    strokes,
    x_axis,
)
from lightloom.report.readers.run import Run
from lightloom.report.svg import COLOURS, Plot, shown, sketch
from lightloom.report.units import number, rounded
from lightloom.schemas import GradientAngle

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MOST_CASES = 6
WHOLE = "all"
"""The layer under which a run writes the angle of all weights together."""


class Point(NamedTuple):
    """One case on a line along x."""

    x: float
    angle: float
    length: float | None

    def __str__(self) -> str:
        length = "" if self.length is None else f" and {number(self.length)} of the length"
        return f"{number(self.angle)}°{length} at {rounded(self.x)}"


@dataclass(frozen=True)
class Watched:
    """The angles of one case, of one way to measure the gradient."""

    case: str
    kind: str
    angles: tuple[GradientAngle, ...]

    @property
    def name(self) -> str:
        """The name on the page: that of the case, with the kind where it does not hold it."""
        return self.case if self.kind in self.case else f"{self.case}, {self.kind}"

    @property
    def x(self) -> float | None:
        """The place of the case in the comparison."""
        return self.angles[0].x

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers in order, behind all of them together."""
        names = dict.fromkeys(angle.layer for angle in self.angles)
        return tuple(sorted(names, key=lambda name: name != WHOLE))

    @property
    def last(self) -> tuple[GradientAngle, ...]:
        """The angles of the last epoch that each seed was watched in."""
        ends: dict[int, int] = {}
        for angle in self.angles:
            ends[angle.seed] = max(angle.epoch, ends.get(angle.seed, angle.epoch))
        return tuple(angle for angle in self.angles if angle.epoch == ends[angle.seed])

    def at(self, layer: str) -> Point | None:
        """The gradient of one layer when last measured, mean over the seeds; None where it was not."""
        last = [angle for angle in self.last if angle.layer == layer]
        lengths = [angle.norm_ratio for angle in last if angle.norm_ratio is not None]
        return Point(self.x or 0.0, _mean(last), statistics.fmean(lengths) if lengths else None) if last else None

    def by_epoch(self, layer: str) -> dict[int, float]:
        """Angle of one layer in degrees by epoch, mean over the seeds."""
        of_layer = [angle for angle in self.angles if angle.layer == layer]
        epochs = sorted({angle.epoch for angle in of_layer})
        return {epoch: _mean([angle for angle in of_layer if angle.epoch == epoch]) for epoch in epochs}


def watched(run: Run) -> list[Watched]:
    """The angles of a run by case and kind, in order of appearance."""
    grouped: dict[tuple[str, str], list[GradientAngle]] = {}
    for angle in run.angles:
        grouped.setdefault((angle.case, angle.kind), []).append(angle)
    return [Watched(case, kind, tuple(angles)) for (case, kind), angles in grouped.items()]


def angle_plots(run: Run) -> list[Plot]:
    """Angle along what is varied, and by epoch for a few cases."""
    cases = watched(run)
    plots = [_along(run, cases), _by_epoch(cases)]
    return [plot for plot in plots if plot is not None]


def _by_epoch(curves: Sequence[Watched]) -> Plot | None:
    """A panel a case, a line a layer, all panels on one scale."""
    moving = [case for case in curves if len({angle.epoch for angle in case.angles}) > 1]
    if not moving:
        return None

    cases = spread_out(moving, MOST_CASES)
    layers = strokes(layer for case in cases for layer in case.layers)
    rows, columns = panels(len(cases))
    with sketch(max(3.6, 0.9 + 1.7 * rows)) as canvas:
        grid = canvas.figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        lines: dict[str, Line2D] = {}
        for axes, case in zip(grid.flat, cases, strict=False):
            lines |= _panel(axes, case, layers)
        for axes in grid.flat[len(cases) :]:
            axes.set_visible(False)
        legend(canvas.figure, lines)
        axes_labels(canvas.figure, "epochs done", "angle / °")
        _from_zero(grid[0, 0])
    summary = "; ".join(
        f"{case.name}, {_called(layer)}: {_from_to(case.by_epoch(layer))}" for case in cases for layer in case.layers
    )
    left_out = f" {len(cases)} of {len(moving)} cases." if len(cases) < len(moving) else ""
    caption = f"Mean over the seeds, all on one scale.{left_out}"
    label = f"Lines of the angle between measured and exact gradient by epoch. {summary}."
    return canvas.plot("angle-epochs", "Angle by epoch", caption, label)


def _panel(axes: Axes, case: Watched, layers: Mapping[str, Stroke]) -> dict[str, Line2D]:
    from matplotlib.ticker import MaxNLocator

    lines = {}
    for layer, stroke in layers.items():
        angles = case.by_epoch(layer)
        if angles:
            every = max(1, len(angles) // 4)
            texts = [f"{_called(layer)}, after epoch {epoch}: {angle:.1f}°" for epoch, angle in angles.items()]
            lines[_called(layer)] = stroke.draw(axes, list(angles), list(angles.values()), every=every, said=texts)
    axes.set_title(shown(case.name, 26), size=10, color=COLOURS["ink"])
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.tick_params(length=0)
    return lines


def _along(run: Run, cases: Sequence[Watched]) -> Plot | None:
    """Angle over x when last measured, and below it the length of the gradient."""
    placed = sorted((case for case in cases if case.x is not None), key=lambda case: case.x or 0.0)
    places = sorted({case.x for case in placed if case.x is not None})
    if len(places) < 2:
        return None

    request = run.sweep.asked if run.sweep else None
    name = request.x if request and request.x else "x"
    lines = _lines(run, placed)
    with sketch(5.4 + legend_height(list(lines)[:MOST_LINES])) as canvas:
        above, below = canvas.figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": (1.5, 1)})
        handles = {title: _both(above, below, lines[title], stroke) for title, stroke in strokes(lines).items()}
        legend(canvas.figure, handles)
        x_axis(below, places, logarithmic=request is not None and request.scale == "log")
        above.set_ylabel("angle / °")
        below.set(xlabel=name, ylabel="length / exact")
        for axes in (above, below):
            _from_zero(axes)
    words = "; ".join(f"{title}: {', '.join(map(str, points))}" for title, points in lines.items())
    caption = "When last measured, mean over the seeds. At 0° light finds the exact direction, at 90° it finds nothing."
    label = f"Lines of the angle between measured and exact gradient, and of its length over the exact one, by {name}."
    return canvas.plot("angle", f"Angle by {name}", caption, f"{label} {words}.")


def _both(above: Axes, below: Axes, points: Sequence[Point], stroke: Stroke) -> Line2D:
    x = [point.x for point in points]
    lengths = [float("nan") if point.length is None else point.length for point in points]
    stroke.draw(
        below, x, lengths, said=[f"at {rounded(point.x)}: {number(point.length)} of its length" for point in points]
    )
    texts = [f"at {rounded(point.x)}: {number(point.angle)}°" for point in points]
    return stroke.draw(above, x, [point.angle for point in points], said=texts)


def _lines(run: Run, placed: Sequence[Watched]) -> dict[str, list[Point]]:
    """The points of every line by its name: of all weights, a line a series; of a single series, a line a layer."""
    series_of = {case.name: case.series for case in run.sweep.cases} if run.sweep else {}
    several_kinds = len({case.kind for case in placed}) > 1
    grouped: dict[tuple[str, str], list[Point]] = {}
    for case in placed:
        series = series_of.get(case.case, "")
        title = f"{series}, {case.kind}".strip(", ") if several_kinds or not series else series
        for layer in case.layers:
            if (point := case.at(layer)) is not None:
                grouped.setdefault((title, layer), []).append(point)
    if len({title for title, _ in grouped}) == 1:
        return {_called(layer): points for (_, layer), points in grouped.items()}
    whole = {title: points for (title, layer), points in grouped.items() if layer == WHOLE}
    return whole or {f"{title}, {layer}": points for (title, layer), points in grouped.items()}


def _mean(angles: Sequence[GradientAngle]) -> float:
    """Mean of at least one angle, in degrees."""
    return statistics.fmean(angle.angle_deg for angle in angles if angle.angle_deg is not None)


def _called(layer: str) -> str:
    return "all weights" if layer == WHOLE else layer


def _from_zero(axes: Axes) -> None:
    """Let the axis begin a little below 0, so that a line at 0 is seen whole."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator(5))
    most = axes.get_ylim()[1]
    axes.set_ylim(-0.03 * most, most)
    axes.tick_params(length=0, which="both")


def _from_to(angles: Mapping[int, float]) -> str:
    degrees = list(angles.values())
    return f"from {number(degrees[0])}° to {number(degrees[-1])}°" if degrees else "not measured"
