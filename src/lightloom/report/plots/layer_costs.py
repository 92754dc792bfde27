"""Plots of the cost of one inference beside its parts: area, schedules, and electronic processors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lightloom.report.plots.link_budget import link_plots
from lightloom.report.plots.pareto import cost_axis
from lightloom.report.plots.states import bars
from lightloom.report.svg import COLOURS, Plot, mark, shown, sketch
from lightloom.report.units import amount
from lightloom.schemas import CostFile

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_QUANTITIES = {"energy_j": ("energy", "J"), "latency_s": ("latency", "s")}


def bill_plots(cost: CostFile) -> list[Plot]:
    """Every plot of the cost that the run has the figures for."""
    plots = [_area(cost.area), _schedules(cost), _references(cost), *link_plots(cost.link_budget)]
    return [plot for plot in plots if plot is not None]


def _area(area: Mapping[str, float | None]) -> Plot | None:
    parts = {part: value for part, value in area.items() if value}
    if not parts:
        return None

    texts = [amount(value, "m²") for value in parts.values()]
    with sketch(0.5 + 0.4 * len(parts)) as canvas:
        axes = canvas.axes
        bars(axes, parts, texts, [COLOURS["accent-soft"]] * len(parts))
        axes.set_xlim(0, max(parts.values()) * 1.4)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
    words = ", ".join(f"{part} {text}" for part, text in zip(parts, texts, strict=True))
    return canvas.plot("bill-area", "Area by part", "", f"Bars of chip area by part: {words}.")


def _schedules(cost: CostFile) -> Plot | None:
    """Energy and latency where weights, inputs or outputs stay in place."""
    rows = {f"{name} stationary": (one.energy_j, one.latency_s) for name, one in cost.schedules.items()}
    current = f"{cost.schedule} stationary"
    caption = f"Logarithmic. The figures of this page are those of: {current}." if current in rows else "Logarithmic."
    return _pairs("bill-schedules", "What stays in place", caption, rows)


def _references(cost: CostFile) -> Plot | None:
    """The chip, within its widest boundary, beside electronic processors."""
    rows = {one.name: (one.energy_j, one.latency_s) for one in cost.references}
    if not rows or not cost.boundaries:
        return None
    widest = cost.boundaries[-1]
    rows = {"this chip": (widest.energy_j, widest.latency_s), **rows}
    caption = f"The same network, by the same accounting. The chip {widest.name}. Logarithmic."
    return _pairs("bill-references", "Beside electronic processors", caption, rows)


def _pairs(name: str, title: str, caption: str, rows: Mapping[str, tuple[float | None, float | None]]) -> Plot | None:
    """A panel for energy and one for latency, a row for each case with its figure beside its mark."""
    columns = [index for index in range(2) if any(pair[index] for pair in rows.values())]
    if not columns or len(rows) < 2:
        return None

    quantities = [list(_QUANTITIES.values())[index] for index in columns]
    with sketch(0.35 + len(columns) * (0.55 + 0.34 * len(rows))) as canvas:
        grid = canvas.figure.subplots(len(columns), 1, squeeze=False)[:, 0]
        for axes, index, (quantity, unit) in zip(grid, columns, quantities, strict=True):
            _panel(axes, {case: pair[index] for case, pair in rows.items()}, quantity, unit)
    words = "; ".join(
        f"{case}: " + ", ".join(amount(pair[index], list(_QUANTITIES.values())[index][1]) for index in columns)
        for case, pair in rows.items()
    )
    what = " and ".join(quantity for quantity, _ in quantities)
    return canvas.plot(name, title, caption, f"Marks of {what} of one inference: {words}.")


def _panel(axes: Axes, values: Mapping[str, float | None], quantity: str, unit: str) -> None:
    present = [value for value in values.values() if value]
    cost_axis(axes, "x", present, unit, beyond=0.28)  # for the figures
    low = axes.get_xlim()[0]
    for row, (case, value) in enumerate(values.items()):
        if value:
            axes.hlines(row, low, value, color=COLOURS["line"], linewidth=3, zorder=1)
            (dot,) = axes.plot([value], [row], "o", color=COLOURS["accent"], markersize=8, zorder=2)
            mark(dot, f"{case}\n{quantity} {amount(value, unit)}")
            axes.annotate(
                amount(value, unit), (value, row), (8, 0), textcoords="offset points", va="center", weight="bold"
            )
    axes.set_yticks(range(len(values)), [shown(case, 30) for case in values], color=COLOURS["ink"])
    axes.set_ylim(len(values) - 0.5, -0.5)
    axes.set_title(quantity, loc="left", size=10, color=COLOURS["muted"])
    axes.grid(visible=False, axis="y")
    axes.tick_params(length=0, which="both")
