"""Plots of two runs in one: bars side by side, and learning curves over each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lightloom.report import metric_text
from lightloom.report.pages.compare_tables import by_boundary, metric_values, union
from lightloom.report.plots.line_styles import legend, legend_height, strokes
from lightloom.report.readers.run import Run
from lightloom.report.svg import COLOURS, Plot, mark, shown, sketch
from lightloom.report.units import capital, number, si
from lightloom.schemas import EpochRow, Metric

NAMES = ("A", "B")
MOST_ROWS = 14
MOST_STAGES = 4
_WIDE = 30.0  # most over least: beyond that the least bars vanish on a linear axis

_Values = Mapping[str, float]


def metric_bars(one: Run, other: Run) -> Plot | None:
    """The primary metric by stage or case, side by side; None where the two share none.

    Args:
        one: Run A.
        other: Run B.
    """
    metric, values = one.metric, metric_values(one, other)
    title = f"{metric_text.heading(metric)} side by side"
    return _bars("compare-metric", title, values, lambda value: metric_text.value(value, metric))


def energy_bars(one: Run, other: Run) -> Plot | None:
    """Energy within each boundary, side by side; None where the two share none.

    Args:
        one: Run A.
        other: Run B.
    """
    values = (by_boundary(one), by_boundary(other))
    return _bars("compare-energy", "Energy side by side", values, lambda value: si(value, "J"))


def curves(one: Run, other: Run) -> list[Plot]:
    """Loss and primary metric of every stage that both trained, one over the other.

    Args:
        one: Run A.
        other: Run B.
    """
    trained = [stage for stage in _stages(one) if stage in _stages(other)][:MOST_STAGES]
    plots = [
        _curve(f"compare-{kind}-{index}", stage, metric, (_stages(one)[stage], _stages(other)[stage]))
        for index, stage in enumerate(trained)
        for kind, metric in (("loss", None), ("metric", one.metric))
        if metric is None or metric.name == other.metric.name
    ]
    return [plot for plot in plots if plot is not None]


def _stages(run: Run) -> dict[str, list[EpochRow]]:
    stages = dict.fromkeys(epoch.stage for epoch in run.epochs)
    return {stage: [epoch for epoch in run.epochs if epoch.stage == stage] for stage in stages}


def _bars(
    name: str, title: str, values: tuple[_Values, _Values], quantity: Callable[[float | None], str]
) -> Plot | None:
    """Two bars a row; on a logarithmic axis where they differ widely and none is 0."""
    if not set(values[0]) & set(values[1]):
        return None
    from matplotlib.patches import Patch

    rows = union(*values)[:MOST_ROWS]
    numbers = [run[row] for run in values for row in rows if row in run]
    wide = min(numbers) > 0 and max(numbers) > _WIDE * min(numbers)
    floor = min(numbers) / 3 if wide else 0.0
    colours = [stroke.colour for stroke in strokes(NAMES).values()]
    with sketch(0.7 + 0.55 * len(rows)) as canvas:
        axes = canvas.axes
        if wide:
            axes.set_xscale("log")
        for run, run_name, colour, shift in zip(values, NAMES, colours, (-0.2, 0.2), strict=True):
            for row, label in enumerate(rows):
                if label in run:
                    (bar,) = axes.barh(row + shift, run[label] - floor, 0.36, left=floor, color=colour)
                    text = quantity(run[label])
                    mark(bar, f"{run_name}, {label}: {text}")
                    place = (run[label], row + shift)
                    axes.annotate(text, place, (5, 0), textcoords="offset points", va="center", size=9)
        axes.set_xlim(
            floor or 0, max(numbers) * (max(numbers) / floor) ** 0.35 if wide else (max(numbers) or 1.0) * 1.3
        )
        axes.set_yticks(range(len(rows)), [shown(row, 24) for row in rows], color=COLOURS["ink"])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.xaxis.set_visible(False)
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(length=0, which="both")
        axes.grid(visible=False)
        handles = [Patch(color=colour, label=run_name) for run_name, colour in zip(NAMES, colours, strict=True)]
        canvas.figure.legend(handles=handles, loc="outside upper left", ncols=2, handlelength=1, borderpad=0)
    words = "; ".join(f"{row}: {', '.join(_said(values, row, quantity))}" for row in rows)
    notes = ["On a logarithmic scale."] * wide
    notes += [f"The first {len(rows)} of {len(union(*values))}."] * (len(rows) < len(union(*values)))
    return canvas.plot(name, title, " ".join(notes), f"Bars of both runs. {words}.")


def _said(values: tuple[_Values, _Values], row: str, quantity: Callable[[float | None], str]) -> list[str]:
    return [f"{title} {quantity(run[row])}" for run, title in zip(values, NAMES, strict=True) if row in run]


def _curve(
    name: str, stage: str, metric: Metric | None, epochs: tuple[Sequence[EpochRow], Sequence[EpochRow]]
) -> Plot | None:
    """A line a run, of the loss where no metric is named; None where there is none of two epochs."""

    def value_of(epoch: EpochRow) -> float | None:
        return epoch.loss if metric is None else epoch.primary(metric.name)

    def said(value: float | None) -> str:
        return number(value) if metric is None else metric_text.value(value, metric)

    lines = [{epoch.epoch: value for epoch in run if (value := value_of(epoch)) is not None} for run in epochs]
    if not all(lines) or max(map(len, lines)) < 2:
        return None
    from matplotlib.ticker import MaxNLocator

    quantity = "loss" if metric is None else f"validation {metric.words}"
    with sketch(2.7 + legend_height(NAMES)) as canvas:
        axes = canvas.axes
        handles = {}
        for (title, stroke), line in zip(strokes(NAMES).items(), lines, strict=True):
            texts = [f"{title}, epoch {epoch}: {said(value)}" for epoch, value in line.items()]
            every = max(1, len(line) // 6)
            handles[title] = stroke.draw(axes, list(line), list(line.values()), every=every, said=texts)
        legend(canvas.figure, handles)
        axes.set(xlabel="epoch", ylabel=quantity if metric is None else metric_text.axis_label(metric, "validation"))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.tick_params(length=0)
        if metric is not None and metric.percent:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.3g}")
    ends = [list(line.values()) for line in lines]
    words = ", ".join(
        f"{title} from {said(line[0])} to {said(line[-1])}" for title, line in zip(NAMES, ends, strict=True)
    )
    return canvas.plot(name, f"{capital(quantity)} by epoch: {stage}", "", f"Lines of {quantity} in {stage}: {words}.")
