"""The plots of an exploration: what accuracy costs, how specimens spread, and what each axis does."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from lightloom.report import units
from lightloom.report.plots.label_layout import number_marks
from lightloom.report.plots.line_styles import Stroke, legend, legend_height, metric_axis, strokes
from lightloom.report.svg import COLOURS, Plot, mark, sketch
from lightloom.schemas import ACCURACY, DesignRow, Exploration, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis

MOST_NUMBERED = 16  # designs of the front; more numbers than that are a blur, and pointing at one still names it
_TICKS = (
    (0.35, (1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)),
    (0.7, (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)),
    (1.3, (1.0, 2.0, 5.0)),
    (2.2, (1.0, 3.0)),
)
"""Decades in sight, and the ticks within each of them: of more decades, powers of ten alone."""
COSTS = {"energy_j": ("energy", "J"), "latency_s": ("latency", "s"), "area_m2": ("area", "m²")}
_AXES = {"accuracy": "accuracy / %", "good": "good specimens / %"}


def trade_plots(exploration: Exploration) -> list[Plot]:
    """Accuracy against energy, latency and area; then the share of good specimens against energy."""
    plots = [_trade(exploration, cost, "accuracy") for cost in COSTS]
    if exploration.threshold is not None:
        plots.append(_trade(exploration, "energy_j", "good"))
    return [plot for plot in plots if plot is not None]


def ranked(exploration: Exploration) -> list[DesignRow]:
    """The front first, then the others, each the most accurate first."""
    return sorted(exploration.points, key=lambda point: (not point.pareto, -(point.accuracy or 0.0), point.id))


def numbers(exploration: Exploration) -> dict[str, int]:
    """What a design of the front is called in the plots, by id."""
    return {point.id: number for number, point in enumerate(filter(lambda point: point.pareto, ranked(exploration)), 1)}


def plane_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The (cost, gain) pairs that no other one beats: less or equal cost, and more gain, from the cheapest on."""
    corners: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda pair: (pair[0], -pair[1])):
        if not corners or gain > corners[-1][1]:
            corners.append((cost, gain))
    return corners


def technologies(exploration: Exploration) -> dict[str, Stroke]:
    """The look of each technology, the same in every plot of the page."""
    return strokes(technology(point) for point in exploration.points)


def described(point: DesignRow) -> str:
    """A design with its figures, one a line."""
    spread = units.plus_minus(point.accuracy, point.std) if point.accuracy is not None else units.ABSENT
    lines = [point.name, f"accuracy {spread}"]
    if point.good is not None:
        lines.append(f"yield {units.percent(point.good)}")
    for key, (name, unit) in COSTS.items():
        if (value := cost_of(point, key)) is not None:
            lines.append(f"{name} {units.amount(value, unit)}")
    lines += [f"{axis} {value}" for axis, value in point.settings.items()]
    return "\n".join(lines)


def technology(point: DesignRow) -> str:
    """What a design is made of; its chip where that is not said."""
    return point.technology or point.chip or "design"


def cost_of(point: DesignRow, key: str) -> float | None:
    """What one inference takes on a design, by one of `COSTS`.

    Args:
        point: The design.
        key: One of `COSTS`, such as `energy_j`.
    """
    value: float | None = getattr(point, key)
    return value


def _trade(exploration: Exploration, cost: str, gain: str) -> Plot | None:
    """One mark a design, a line through those that no other one beats in these two figures."""
    places = [
        (point, x, y)
        for point in exploration.points
        if (x := cost_of(point, cost)) is not None and x > 0 and (y := getattr(point, gain)) is not None
    ]
    if not places:
        return None

    name, unit = COSTS[cost]
    here = {technology(point) for point, *_ in places}
    looks = {kind: look for kind, look in technologies(exploration).items() if kind in here}
    front = plane_front([(x, y) for _, x, y in places])
    with sketch(3.3 + legend_height(looks)) as canvas:
        axes = canvas.axes
        levels = _levels(axes, exploration) if gain == "accuracy" else []
        _dress(axes, [x for _, x, _ in places], [*(y for *_, y in places), *levels], unit, gain)
        steps = [*front, (axes.get_xlim()[1], front[-1][1])]
        axes.step(*zip(*steps, strict=True), where="post", color=COLOURS["muted"], linewidth=1.4, zorder=1)
        _designs(axes, places, looks)
        axes.set(xlabel="area" if unit == "m²" else f"{name} of one inference", ylabel=_AXES[gain])
        legend(canvas.figure, {kind: look.draw(axes, [], []) for kind, look in looks.items()})
        numbers_by_id = numbers(exploration)
        if len(numbers_by_id) <= MOST_NUMBERED:
            numbered = [(numbers_by_id[point.id], x, y) for point, x, y in places if point.pareto]
            number_marks(axes, numbered, [(x, y) for point, x, y in places if not point.pareto])
    what = "accuracy" if gain == "accuracy" else "share of good specimens"
    words = "; ".join(
        f"{p.name}: {units.percent(y)} at {units.amount(x, unit)}" for p, x, y in places if (x, y) in front
    )
    label = f"Marks of {what} over {name} of {len(places)} designs. Best here: {words}."
    return canvas.plot(
        f"trade-{name}" if gain == "accuracy" else "trade-yield",
        f"{what.capitalize()} against {name}",
        "",
        label,
    )


def _designs(axes: Axes, places: Sequence[tuple[DesignRow, float, float]], looks: Mapping[str, Stroke]) -> None:
    """Marks in the colour and shape of their technology: filled on the front, else hollow."""
    spare = Stroke(COLOURS["muted"], "-", "o")
    for point, x, y in sorted(places, key=lambda place: place[0].pareto):
        look = looks.get(technology(point), spare)
        (dot,) = axes.plot(
            [x],
            [y],
            look.marker,
            color=look.colour if point.pareto else COLOURS["surface"],
            markersize=8 if point.pareto else 6.5,
            markeredgecolor=COLOURS["surface"] if point.pareto else look.colour,
            markeredgewidth=0.8 if point.pareto else 1.3,
            zorder=3 if point.pareto else 2,
        )
        mark(dot, described(point))


def _levels(axes: Axes, exploration: Exploration) -> list[float]:
    """Lines for what electronics reaches, and for what a specimen must; their accuracies, from the least on."""
    levels = ((exploration.electronic, "electronic", "electronic"), (exploration.threshold, "programmed", "good"))
    marks = sorted((value, role, name) for value, role, name in levels if value is not None)
    for place, (value, role, name) in enumerate(marks):
        axes.axhline(value, color=COLOURS[role], linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
        # beside the axes, where no mark is; the lower name hangs from its line, for the two may be close together
        side: Literal["top", "bottom"] = "top" if place < len(marks) - 1 else "bottom"
        axes.text(1.01, value, name, size=8.5, va=side, color=COLOURS[role], transform=axes.get_yaxis_transform())
    return [value for value, *_ in marks]


def _dress(axes: Axes, costs: Sequence[float], heights: Sequence[float], unit: str, gain: str) -> None:
    if gain == "accuracy":
        metric_axis(axes, "y", heights, describe(ACCURACY))
    else:
        axes.set_ylim(-0.04, 1.09)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0", "25", "50", "75", "100"])
    cost_axis(axes, "x", costs, unit)
    axes.tick_params(length=0, which="both")


def cost_axis(axes: Axes, which: Literal["x", "y"], values: Sequence[float], unit: str, beyond: float = 0.0) -> None:
    """A logarithmic axis with ticks that are few and read well, however far the values lie apart.

    Args:
        axes: What it belongs to.
        which: The one that is meant.
        values: That it shows; above 0.
        unit: Of them.
        beyond: Part of it that stays free at its upper end.
    """
    from matplotlib.ticker import LogLocator, NullFormatter

    axis: Axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    low, high = min(values), max(values)
    room = max((high / low) ** 0.08, 1.15)
    low, high = low / room, high * room
    high *= (high / low) ** (beyond / (1 - beyond))
    (axes.set_xlim if which == "x" else axes.set_ylim)(low, high)
    decades = math.log10(high / low)
    within = next((subs for most, subs in _TICKS if decades <= most), (1.0,))
    axis.set_major_locator(LogLocator(subs=within, numticks=5 if within == (1.0,) else 12))
    axis.set_major_formatter(lambda value, _: units.amount(value, unit, 2))
    axis.set_minor_formatter(NullFormatter())
