"""The walk of the light from laser to detector: what each step takes, and what is left."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightloom.report.svg import COLOURS, Plot, mark, shown, sketch
from lightloom.report.units import db, dbm, si
from lightloom.schemas import LinkBudget

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Stop:
    """The light behind one step: `loss_db` is what the step took, `lost_db` all up to here; level per channel."""

    what: str
    loss_db: float
    lost_db: float
    level_dbm: float

    @property
    def power_w(self) -> float:
        """The level in W."""
        return 1e-3 * 10 ** (self.level_dbm / 10)


@dataclass(frozen=True)
class Walk:
    """One chip: where the light starts, every step, and what the detector needs.

    Attributes:
        budget: As the run has it.
        stops: In the order of the light; the first is the laser.
        sensitivity_dbm: Power that the detector needs per channel.
    """

    budget: LinkBudget
    stops: tuple[Stop, ...]
    sensitivity_dbm: float

    @property
    def margin_db(self) -> float:
        """Light that arrives over light that is needed, without the noise of rounding."""
        return round(self.stops[-1].level_dbm - self.sensitivity_dbm, 9) + 0.0

    @property
    def lost_db(self) -> float:
        """All losses together."""
        return self.stops[-1].lost_db

    @property
    def largest(self) -> Stop:
        """The step that takes most."""
        return max(self.stops, key=lambda stop: stop.loss_db)


def walks(budgets: Sequence[LinkBudget]) -> list[Walk]:
    """The walk of every chip whose levels are known."""
    steps = (walk(budget) for budget in budgets)
    return [one for one in steps if one is not None]


def walk(budget: LinkBudget) -> Walk | None:
    """The steps with their levels, None where there are none.

    The first step is the laser and the last the detector, whose level is what it needs where the budget does not say
    it otherwise. A level that is missing follows from the one before it and the loss.
    """
    stops: list[Stop] = []
    for step in budget.steps:
        loss = step.loss_db or 0.0
        level = step.level_dbm
        if level is None:
            if not stops:
                return None
            level = stops[-1].level_dbm - loss
        lost = (stops[-1].lost_db if stops else 0.0) + loss
        stops.append(Stop(step.what, loss, lost, level))
    if len(stops) < 2:
        return None
    if budget.sensitivity_dbm is not None:
        return Walk(budget, tuple(stops), budget.sensitivity_dbm)
    return Walk(budget, tuple(stops[:-1]), stops[-1].level_dbm)


def link_plots(budgets: Sequence[LinkBudget]) -> list[Plot]:
    """A waterfall for every chip."""
    return [_waterfall(f"link-{index}", one) for index, one in enumerate(walks(budgets))]


def budget_text(one: Walk) -> str:
    """The walk in words."""
    first, last, largest = one.stops[0], one.stops[-1], one.largest
    margin = f"{db(one.margin_db, 1)} above" if one.margin_db > 0 else "just"
    if one.margin_db < 0:
        margin = f"{db(-one.margin_db, 1)} below"
    return (
        f"Each channel leaves the laser with {dbm(first.level_dbm)} and reaches the detector with "
        f"{dbm(last.level_dbm)}, {margin} what it needs. Of {db(one.lost_db, 1)} lost, {db(largest.loss_db, 1)} "
        f"go to: {largest.what}."
    )


def _waterfall(name: str, one: Walk) -> Plot:
    """Rows from the laser down; a bar is what a step takes, the line is what is left."""
    chip = one.budget.chip
    stops = one.stops
    levels = [stop.level_dbm for stop in stops]
    low, high = min(*levels, one.sensitivity_dbm), max(*levels, one.sensitivity_dbm)
    room = (high - low) or 1.0
    with sketch(1.5 + 0.42 * len(stops)) as canvas:
        axes = canvas.axes
        axes.step(
            [levels[0], *levels], [-0.5, *range(len(stops))], where="pre", color=COLOURS["line"], linewidth=1, zorder=0
        )
        for row, stop in enumerate(stops):
            before = stops[row - 1].level_dbm if row else stop.level_dbm
            _row(axes, row, stop, before)
        axes.axvline(one.sensitivity_dbm, color=COLOURS["programmed"], linewidth=1.4, linestyle=(0, (4, 3)))
        axes.text(
            one.sensitivity_dbm,
            1.0,
            f" needed: {dbm(one.sensitivity_dbm)}",
            transform=axes.get_xaxis_transform(),
            va="bottom",
            ha="left",
            color=COLOURS["programmed"],
        )
        axes.set_xlim(low - 0.06 * room, high + 0.36 * room)
        axes.set_ylim(len(stops) - 0.4, -0.6)
        axes.set_yticks(range(len(stops)), [_label(stop.what) for stop in stops], color=COLOURS["ink"])
        axes.tick_params(length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("level of one channel / dBm")
    steps = "; ".join(f"{stop.what} {dbm(stop.level_dbm)} after {db(stop.loss_db)}" for stop in stops)
    title = f"From laser to detector: {chip}" if chip else "From laser to detector"
    return canvas.plot(
        name, title, budget_text(one), f"Waterfall of the level of one channel: {steps}. {budget_text(one)}"
    )


def _label(what: str) -> str:
    """The name of a step in up to two lines."""
    return "\n".join(textwrap.wrap(shown(what, 46), 24))


def _row(axes: Axes, row: int, stop: Stop, before: float) -> None:
    """One step: its bar, the level behind it, and its loss in figures."""
    figures = (
        db(-stop.loss_db) if stop.loss_db > 0 else f"+{db(-stop.loss_db)}" if stop.loss_db else dbm(stop.level_dbm)
    )
    words = f"{figures}: {dbm(stop.level_dbm)}" if stop.loss_db else figures
    text = f"{stop.what}\n{words}, {si(stop.power_w, 'W')}"
    if stop.loss_db:
        (bar,) = axes.barh([row], [before - stop.level_dbm], 0.56, left=stop.level_dbm, color=COLOURS["accent-soft"])
        mark(bar, text)
    (dot,) = axes.plot(
        [stop.level_dbm], [row], "o", color=COLOURS["accent"], markersize=6, markeredgecolor=COLOURS["surface"]
    )
    mark(dot, text)
    axes.annotate(
        figures,
        (max(before, stop.level_dbm), row),
        (6, 0),
        textcoords="offset points",
        va="center",
        size=9,
        color=COLOURS["ink"],
    )
