"""What a hybrid costs in two accounts: as published, with light for nothing, and whole."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lightloom.report import units
from lightloom.report.plots.line_styles import legend, legend_height, strokes
from lightloom.report.plots.states import bars
from lightloom.report.readers.run import Run
from lightloom.report.readers.sweep import ranked
from lightloom.report.svg import COLOURS, Plot, mark, shown, sketch
from lightloom.schemas import Boundary, HybridCase

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_ROWS = 12  # the table has every case


@dataclass(frozen=True)
class CostRow:
    """One case: its shares of the baseline, and what it comes to within each boundary, None where unknown."""

    case: HybridCase
    parameters: str
    macs: str
    boundaries: tuple[Boundary | None, ...]


@dataclass(frozen=True)
class Costs:
    """What the section on cost tells; `baseline` is what shares are of, empty where they are of nothing."""

    rows: tuple[CostRow, ...]
    boundaries: tuple[Boundary, ...]
    baseline: str
    notes: tuple[str, ...]
    assumptions: tuple[str, ...]
    parts: tuple[str, ...]


def costs(run: Run) -> Costs | None:
    """The tables of both accounts, None where no case has one."""
    cases = _in_order(run)
    if not cases:
        return None
    baseline = _baseline(run, cases)
    names = tuple({boundary.name: boundary for case in cases for boundary in case.boundaries}.values())
    return Costs(
        tuple(_row(case, baseline, names) for case in cases),
        names,
        baseline.case if baseline is not None else "",
        tuple(dict.fromkeys(case.published.note for case in cases if case.published.note)),
        tuple(dict.fromkeys(words for case in cases for words in case.assumptions)),
        tuple(dict.fromkeys(part for case in cases for part in case.parts)),
    )


def cost_plots(run: Run) -> list[Plot]:
    """Multiply-accumulates as published, then energy and latency within each boundary."""
    cases = _in_order(run)[:MOST_ROWS]
    plots = [
        _published(cases, _baseline(run, cases)),
        _whole(cases, "energy", "J", lambda boundary: boundary.energy_j),
        _whole(cases, "latency", "s", lambda boundary: boundary.latency_s),
    ]
    return [plot for plot in plots if plot is not None]


def _in_order(run: Run) -> list[HybridCase]:
    order = ranked(run.sweep, [case.case for case in run.hybrid.cases])
    return sorted(run.hybrid.cases, key=lambda case: order.index(case.case))


def _baseline(run: Run, cases: Sequence[HybridCase]) -> HybridCase | None:
    """The baseline of the comparison, where its cost is known."""
    name = run.sweep.baseline.name if run.sweep is not None and run.sweep.baseline is not None else None
    return next((case for case in cases if case.case == name), None)


def _row(case: HybridCase, baseline: HybridCase | None, names: Sequence[Boundary]) -> CostRow:
    own = {boundary.name: boundary for boundary in case.boundaries}
    against = baseline.published if baseline is not None and baseline is not case else None
    return CostRow(
        case,
        _share(case.published.parameters, against.parameters if against else None),
        _share(case.published.macs, against.macs if against else None),
        tuple(own.get(boundary.name) for boundary in names),
    )


def _share(value: float | None, whole: float | None) -> str:
    return units.percent(value / whole) if value is not None and whole else ""


def _published(cases: Sequence[HybridCase], baseline: HybridCase | None) -> Plot | None:
    """Bars of the multiply-accumulates of the electronic stages that remain."""
    macs = {case.case: case.published.macs for case in cases if case.published.macs is not None}
    if not macs:
        return None

    whole = baseline.published.macs if baseline is not None else None
    here = baseline.case if baseline is not None else None
    texts = [_counted(value, None if name == here else whole) for name, value in macs.items()]
    with sketch(0.5 + 0.4 * len(macs)) as canvas:
        axes = canvas.axes
        bars(axes, macs, texts, [COLOURS["electronic" if name == here else "accent-soft"] for name in macs])
        axes.set_xlim(0, (max(macs.values()) or 1.0) * 2.2)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
    words = ", ".join(f"{name} {text}" for name, text in zip(macs, texts, strict=True))
    return canvas.plot(
        "cost-published",
        "As published: what electronics is left",
        "Multiply-accumulates of the remaining electronic stages of the backbone. Light counts as nothing.",
        f"Bars of multiply-accumulates for one image by case, electronic stages alone: {words}.",
    )


def _counted(macs: float, whole: float | None) -> str:
    share = _share(macs, whole)
    return units.si(macs, "MAC") + (f" ({share})" if share else "")


def _whole(
    cases: Sequence[HybridCase], quantity: str, unit: str, of: Callable[[Boundary], float | None]
) -> Plot | None:
    """A row a case, a mark a boundary, on a logarithmic scale: boundaries are decades apart."""
    stacks = {
        case.case: {boundary.name: value for boundary in case.boundaries if (value := of(boundary))} for case in cases
    }
    rows = {name: values for name, values in stacks.items() if values}
    if not rows:
        return None

    order = dict.fromkeys(boundary.name for case in cases for boundary in case.boundaries)
    looks = strokes(name for name in order if any(name in values for values in rows.values()))
    with sketch(0.95 + 0.46 * len(rows) + legend_height(looks)) as canvas:
        axes = canvas.axes
        axes.set_xscale("log")
        marks = {}
        for row, (case, values) in enumerate(rows.items()):
            axes.hlines(row, min(values.values()), max(values.values()), color=COLOURS["line"], linewidth=3, zorder=1)
            for name, value in values.items():
                if name in looks:
                    look = looks[name]
                    (marks[name],) = axes.plot(
                        value, row, look.marker, color=look.colour, markersize=8, markeredgecolor=COLOURS["surface"]
                    )
                    mark(marks[name], f"{case}, {name}: {units.si(value, unit)}")
        legend(canvas.figure, {name: marks[name] for name in looks})
        _dress(axes, rows, unit)
    words = "; ".join(
        f"{case}: " + ", ".join(f"{name} {units.si(value, unit)}" for name, value in values.items())
        for case, values in rows.items()
    )
    return canvas.plot(
        f"cost-{quantity}",
        f"Whole: {quantity} of one image",
        "Within each boundary, on a logarithmic scale; one that takes nothing has no mark.",
        f"Marks of {quantity} for one image by case and boundary: {words}.",
    )


def _dress(axes: Axes, names: Collection[str], unit: str) -> None:
    """The names of rows on the left, ticks at decades below."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axes.set_yticks(range(len(names)), [shown(name, 24) for name in names], color=COLOURS["ink"])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(lambda value, _: units.si(value, unit, 1))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=False, axis="y")
    axes.tick_params(length=0, which="both")
