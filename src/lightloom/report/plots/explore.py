"""Plots of many designs at once: how specimens spread, and what each axis does."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lightloom.report import units
from lightloom.report.plots.line_styles import Stroke, metric_axis
from lightloom.report.plots.pareto import cost_axis, described, numbers, ranked, technologies, technology
from lightloom.report.svg import COLOURS, Plot, mark, shown, sketch
from lightloom.schemas import ACCURACY, DesignRow, Exploration, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_DESIGNS = 24  # rows; the table has every design
_TURN = 0.6180339887  # of the golden angle: neighbours in order land far apart in height
BROAD = 8.4  # inch


def spread_plot(exploration: Exploration) -> Plot | None:
    """A row a design, a dot a specimen, with the levels of electronics and of what counts as good."""
    points = [point for point in ranked(exploration) if point.specimens][:MOST_DESIGNS]
    if not points:
        return None

    points.sort(key=lambda point: -(point.accuracy or 0.0))
    with sketch(1.1 + 0.34 * len(points), BROAD) as canvas:
        axes = canvas.axes
        looks, numbers_by_id = technologies(exploration), numbers(exploration)
        for row, point in enumerate(points):
            _specimens(axes, row, point, looks.get(technology(point)))
        values = [value for point in points for value in point.specimens]
        values += [value for value in (exploration.electronic, exploration.threshold) if value is not None]
        metric_axis(axes, "x", values, describe(ACCURACY))
        _levels(axes, exploration)
        names = [_called(point, numbers_by_id) for point in points]
        axes.set_yticks(range(len(points)), names, color=COLOURS["ink"])
        axes.set_ylim(len(points) - 0.4, -0.6)
        axes.tick_params(length=0, which="both")
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("accuracy of one specimen / %")
    words = "; ".join(_told(point) for point in points)
    some = "" if len(points) == len(exploration.points) else f" {len(points)} of {len(exploration.points)} designs."
    caption = (
        f"A dot is one manufactured chip, the bar their middle half, the tick their mean; beside it the yield.{some}"
    )
    return canvas.plot("specimens", "How specimens spread", caption, f"Dots of accuracy by design: {words}.")


def effect_plots(exploration: Exploration) -> list[Plot]:
    """Plots of every axis that was varied: accuracy and energy at each of its values."""
    plots = (_effect(f"effect-{index}", axis, exploration) for index, axis in enumerate(exploration.axes))
    return [plot for plot in plots if plot is not None]


def values_of(axis: str, points: Sequence[DesignRow]) -> list[Any]:
    """Settings of an axis, numbers in order of size before all else as it comes.

    Args:
        axis: Name of the axis.
        points: The designs.
    """
    values = {_key(point.settings[axis]): point.settings[axis] for point in points if axis in point.settings}
    plain = [value for value in values.values() if isinstance(value, int | float) and not isinstance(value, bool)]
    return [*sorted(plain), *(value for value in values.values() if value not in plain)]


def setting(value: object) -> str:
    """A setting as a label of an axis has it."""
    if isinstance(value, float):
        return units.rounded(value)
    return "none" if value is None else shown(value if isinstance(value, str) else json.dumps(value), 16)


def _key(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _called(point: DesignRow, numbers_by_id: dict[str, int]) -> str:
    """A design by its name, after its number on the front."""
    number = f"{numbers_by_id[point.id]} · " if point.id in numbers_by_id else ""
    return number + shown(point.name, 40)


def _told(point: DesignRow) -> str:
    good = "" if point.good is None else f", yield {units.percent(point.good)}"
    return f"{point.name} {units.percent(point.accuracy)} from {units.percent(min(point.specimens))}{good}"


def _specimens(axes: Axes, row: int, point: DesignRow, look: Stroke | None) -> None:
    """One row of dots, each at a height of its own so that equal ones are seen."""
    import numpy as np

    values = np.array(sorted(point.specimens))
    colour = look.colour if look is not None else COLOURS["muted"]
    heights = row + 0.5 * (np.mod(_TURN * np.arange(len(values)), 1) - 0.5)
    low, high = np.percentile(values, (25, 75))
    axes.hlines(row, low, high, color=colour, linewidth=7, alpha=0.25, zorder=1)
    dots = axes.scatter(values, heights, s=13, color=colour, alpha=0.55, linewidths=0, zorder=2)
    mark(
        dots, f"{described(point)}\n{len(values)} specimens, {units.percent(values[0])} to {units.percent(values[-1])}"
    )
    if point.accuracy is not None:
        axes.plot([point.accuracy] * 2, [row - 0.34, row + 0.34], color=COLOURS["ink"], linewidth=2, zorder=3)
    if point.good is not None:
        place: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "ha": "left"}
        axes.text(1.01, row, f"{100 * point.good:.0f}{units.NO_BREAK}%", size=9, color=COLOURS["ink"], **place)


def _levels(axes: Axes, exploration: Exploration) -> None:
    levels = ((exploration.electronic, "electronic", "electronic"), (exploration.threshold, "programmed", "good"))
    for value, role, name in levels:
        if value is not None:
            axes.axvline(value, color=COLOURS[role], linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
            place: dict[str, Any] = {
                "transform": axes.get_xaxis_transform(),
                "va": "bottom",
                "ha": "right" if role == "programmed" else "left",
            }
            axes.text(value, 1.0, name, size=8.5, color=COLOURS[role], **place)
    if any(point.good is not None for point in exploration.points):
        axes.text(1.01, 1.0, "yield", transform=axes.transAxes, va="bottom", size=8.5, color=COLOURS["muted"])


def _effect(name: str, axis: str, exploration: Exploration) -> Plot | None:
    """Accuracy above energy at each value of one axis: dots are designs, the line is their mean."""
    values = values_of(axis, exploration.points)
    if len(values) < 2:
        return None

    places = {_key(value): index for index, value in enumerate(values)}
    groups: list[list[DesignRow]] = [[] for _ in values]
    for point in exploration.points:
        if axis in point.settings:
            groups[places[_key(point.settings[axis])]].append(point)
    looks = technologies(exploration)
    with sketch(3.9) as canvas:
        upper, lower = canvas.figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
        means = _panel(upper, groups, "accuracy", looks)
        joules = _panel(lower, groups, "energy_j", looks)
        heights = [y for group in groups for point in group if (y := point.accuracy) is not None]
        if heights:
            metric_axis(upper, "y", heights, describe(ACCURACY))
        energies = [y for group in groups for point in group if (y := point.energy_j)]
        if energies:
            cost_axis(lower, "y", energies, "J")
        upper.set_ylabel("accuracy / %")
        lower.set_ylabel("energy")
        lower.set_xticks(range(len(values)), [setting(value) for value in values])
        lower.set_xlim(-0.5, len(values) - 0.5)
        for axes in (upper, lower):
            axes.tick_params(length=0, which="both")
        lower.set_xlabel(shown(axis, 40))
    words = "; ".join(
        f"{setting(value)}: {units.percent(mean)}, {units.si(energy, 'J')}"
        for value, mean, energy in zip(values, means, joules, strict=True)
    )
    return canvas.plot(name, axis, "", f"Mean accuracy and energy by {axis}: {words}.")


def _panel(
    axes: Axes, groups: Sequence[Sequence[DesignRow]], what: str, looks: dict[str, Stroke]
) -> list[float | None]:
    """Dots and the line of their means, which are returned; energies take the geometric mean, as their axis does."""
    import numpy as np

    means: list[float | None] = []
    for place, group in enumerate(groups):
        pairs = [(point, value) for point in group if (value := getattr(point, what)) is not None and value > 0]
        for index, (point, value) in enumerate(pairs):
            beside = 0.36 * ((_TURN * index) % 1 - 0.5) if len(pairs) > 1 else 0.0
            look = looks.get(technology(point), Stroke(COLOURS["muted"], "-", "o"))
            (dot,) = axes.plot([place + beside], [value], look.marker, color=look.colour, markersize=4.5, alpha=0.6)
            mark(dot, described(point))
        figures = np.array([value for _, value in pairs])
        if not len(figures):
            means.append(None)
        else:
            means.append(float(np.exp(np.log(figures).mean()) if what == "energy_j" else figures.mean()))
    line = [(place, mean) for place, mean in enumerate(means) if mean is not None]
    if line:
        axes.plot(
            *zip(*line, strict=True), "-", color=COLOURS["ink"], linewidth=1.8, marker="_", markersize=14, zorder=3
        )
    return means
