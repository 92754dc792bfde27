"""Plots of a comparison: its metric along what is varied, case by case, and over epochs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lightloom.report import metric_text
from lightloom.report.plots.line_styles import MOST_LINES, Stroke, legend, legend_height, metric_axis, strokes, x_axis
from lightloom.report.readers.run import Run
from lightloom.report.readers.sweep import Case, Sweep, by_series
from lightloom.report.svg import COLOURS, Plot, mark, mark_points, shown, sketch
from lightloom.report.units import rounded
from lightloom.schemas import Metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

MOST_ROWS = 20  # the table has every case
_STRETCHED = "Towards 100 % the scale widens: each step down in error is a factor."
_BAND = 0.15
_TEXT = 0.07  # height of a line of text, of the axes
_BAR = 0.3  # height, of a row


def sweep_plots(run: Run) -> list[Plot]:
    """The primary metric of every case, and its value on validation data by epoch where the cases are few."""
    if run.sweep is None:
        return []
    lines = len(run.sweep.places) > 1
    plots = [_along(run.sweep) if lines else _rows(run.sweep), _learning(run, run.sweep)]
    return [plot for plot in plots if plot is not None]


def _along(sweep: Sweep) -> Plot:
    """A line a series over x, with a band from the worst to the best seed; cases without x lie across."""
    series = by_series(sweep.along)
    looks = strokes(series)
    cases_drawn = [case for name in looks for case in series[name]]
    name, metric = sweep.asked.x or "x", sweep.metric
    with sketch(3.4 + legend_height(looks)) as canvas:
        axes = canvas.axes
        legend(canvas.figure, {name: _band(axes, series[name], stroke, metric) for name, stroke in looks.items()})
        x_axis(axes, sweep.places, logarithmic=sweep.asked.scale == "log")
        shown_values = [value for case in cases_drawn for value in case.values] + [case.mean for case in sweep.levels]
        stretched = metric_axis(axes, "y", shown_values, metric)
        _across(axes, sweep.levels, [series[title] for title in looks], metric)
        axes.set(xlabel=name, ylabel=metric_text.axis_label(metric))
        axes.tick_params(length=0, which="both")
    words = "; ".join(f"{title}: {_listed(cases, name, metric)}" for title, cases in series.items())
    across = "".join(f" Dashed across: {case.name}, {metric_text.value(case.mean, metric)}." for case in sweep.levels)
    left_out = f"The first {len(looks)} of {len(series)} series." if len(looks) < len(series) else ""
    notes = (_seeds(cases_drawn), _STRETCHED if stretched else "", left_out)
    return canvas.plot(
        "sweep",
        f"{metric_text.heading(metric)} by {name}",
        " ".join(note for note in notes if note),
        f"Lines of {metric.words} by {name}. {words}.{across}",
    )


def _band(axes: Axes, cases: Sequence[Case], stroke: Stroke, metric: Metric) -> Line2D:
    x = [case.x for case in cases if case.x is not None]
    ends = [(min(case.values), max(case.values)) for case in cases]
    if any(least < most for least, most in ends):
        least, most = zip(*ends, strict=True)
        axes.fill_between(x, least, most, color=stroke.colour, alpha=_BAND, linewidth=0)
    texts = [f"{case.name}: {metric_text.spread(case.mean, case.std, metric)}" for case in cases]
    return stroke.draw(axes, x, [case.mean for case in cases], said=texts)


def _across(axes: Axes, levels: Sequence[Case], lines: Sequence[Sequence[Case]], metric: Metric) -> None:
    """Dashed lines, named at the end where the other lines leave more room; those too close share one text."""
    ends = [[cases[end].mean for cases in lines] for end in (0, -1)]
    clusters: list[list[Case]] = []
    for level in sorted(levels, key=lambda level: -level.mean):
        line = axes.axhline(level.mean, color=COLOURS["muted"], linewidth=1.4, linestyle=(0, (4, 3)), zorder=1.5)
        mark(line, f"{level.name}: {metric_text.spread(level.mean, level.std, metric)}")
        if clusters and _height(axes, clusters[-1][-1]) - _height(axes, level) < _TEXT:
            clusters[-1].append(level)
        else:
            clusters.append([level])
    for cluster in clusters:
        top = cluster[0].mean
        left, right = (min(abs(value - top) for value in end) for end in ends)
        axes.annotate(
            ", ".join(f"{shown(level.name, 24)} {metric_text.value(level.mean, metric)}" for level in cluster),
            (0.0 if left >= right else 1.0, top),
            (4 if left >= right else -4, 3),
            xycoords=axes.get_yaxis_transform(),
            textcoords="offset points",
            ha="left" if left >= right else "right",
            color=COLOURS["muted"],
            size=9,
        )


def _height(axes: Axes, level: Case) -> float:
    """Height of the mark of a level, as a fraction of the axes."""
    above = axes.transData.transform((axes.get_xlim()[0], level.mean))
    return float(axes.transAxes.inverted().transform(above)[1])


def _rows(sweep: Sweep) -> Plot:
    """A row a case: its seeds as dots, their mean as a tick, its spread as a bar."""
    cases, metric = sweep.cases[:MOST_ROWS], sweep.metric
    colours = _colours(sweep)
    with sketch(0.75 + 0.5 * len(cases)) as canvas:
        axes = canvas.axes
        stretched = metric_axis(
            axes, "x", [value for case in cases for value in (*case.values, *_ends(case, metric))], metric
        )
        for row, case in enumerate(cases):
            _row(axes, row, case, colours[case.series], sweep)
        axes.set(ylim=(len(cases) - 0.5, -0.6), xlabel=metric_text.axis_label(metric))
        axes.set_yticks([])
        axes.grid(visible=False)
        axes.tick_params(length=0, which="both")
        axes.spines["left"].set_visible(False)
    words = ", ".join(f"{case.name} {metric_text.spread(case.mean, case.std, metric)}" for case in cases)
    against = f"The dotted mark is the mean of {sweep.baseline.name}." if sweep.baseline is not None else ""
    left_out = f"The first {len(cases)} of {len(sweep.cases)} cases." if len(cases) < len(sweep.cases) else ""
    spread = "Dots: single seeds; tick: their mean; bar: one standard deviation either way."
    notes = (spread if any(case.std for case in cases) else "", against, _STRETCHED if stretched else "", left_out)
    heading = metric_text.heading(metric)
    caption, label = " ".join(filter(None, notes)), f"{heading} by case: {words}. {against}"
    return canvas.plot("sweep", f"{heading} of each case", caption, label)


def _colours(sweep: Sweep) -> Mapping[str, str]:
    """One colour where every case is a series of its own, else a colour a series; baselines are grey."""
    series = dict.fromkeys(case.series for case in sweep.cases)
    looks = strokes(series) if len(series) < len(sweep.cases) else {}
    colours = {name: looks[name].colour if name in looks else COLOURS["accent"] for name in series}
    return colours | {case.series: COLOURS["electronic"] for case in sweep.baselines}


def _ends(case: Case, metric: Metric) -> tuple[float, float]:
    """One standard deviation either way, within what the metric can be."""
    spread = case.std or 0.0
    if not metric.percent:
        return case.mean - spread, case.mean + spread
    return max(case.mean - spread, 0.0), min(case.mean + spread, 1.0)


def _row(axes: Axes, row: int, case: Case, colour: str, sweep: Sweep) -> None:
    baseline, metric = sweep.baseline, sweep.metric
    least, most = _ends(case, metric)
    text = metric_text.spread(case.mean, case.std, metric)
    across, height = axes.get_yaxis_transform(), row + 0.18
    axes.text(0, row - 0.1, shown(case.name, 40), transform=across, va="bottom")
    axes.text(1, row - 0.1, text, transform=across, va="bottom", ha="right", weight="bold")
    axes.axhline(height, color=COLOURS["line"], linewidth=0.8, zorder=0.5)
    (bar,) = axes.barh(height, most - least, _BAR, left=least, color=colour, alpha=0.22)
    mark(bar, f"{case.name}: {text}")
    if len(case.values) > 1:
        axes.vlines(case.mean, height - 0.75 * _BAR, height + 0.75 * _BAR, color=colour, linewidth=2.6)
    if baseline is not None:
        ends = (height - 0.8 * _BAR, height + 0.8 * _BAR)
        axes.vlines(baseline.mean, *ends, color=COLOURS["muted"], linewidth=1.4, linestyle="dotted")
    dots = [height] * len(case.values)
    axes.scatter(case.values, dots, s=26, color=colour, edgecolor=COLOURS["surface"], linewidth=0.7, zorder=3)
    singles = [f"{case.name}, one seed: {metric_text.value(value, metric)}" for value in case.values]
    mark_points(axes, case.values, dots, singles, colour)


def _learning(run: Run, sweep: Sweep) -> Plot | None:
    """The metric on validation data by epoch, a line a case; nothing where the cases are too many to be told apart."""
    from matplotlib.ticker import MaxNLocator

    learnt, metric = _validations(run, sweep), sweep.metric
    if not learnt or len(learnt) > MOST_LINES or max(map(len, learnt.values())) < 2:
        return None
    with sketch(3.0 + legend_height(learnt)) as canvas:
        axes = canvas.axes
        lines = {}
        for case, stroke in strokes(learnt).items():
            every = max(1, len(learnt[case]) // 6)
            texts = [
                f"{case}, epoch {epoch}: {metric_text.value(value, metric)}" for epoch, value in learnt[case].items()
            ]
            lines[case] = stroke.draw(axes, list(learnt[case]), list(learnt[case].values()), every=every, said=texts)
        legend(canvas.figure, lines)
        stretched = metric_axis(axes, "y", [value for line in learnt.values() for value in line.values()], metric)
        axes.set(xlabel="epoch", ylabel=metric_text.axis_label(metric, "validation"))
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.tick_params(length=0, which="both")
    words = ", ".join(
        f"{case} from {metric_text.value(next(iter(line.values())), metric)} to "
        f"{metric_text.value(list(line.values())[-1], metric)}"
        for case, line in learnt.items()
    )
    means = any(len(case.trainings) > 1 for case in sweep.cases)
    caption = " ".join(("Mean over the seeds of each case.",) * means + (_STRETCHED,) * stretched)
    title = f"Validation {metric.words} by epoch"
    return canvas.plot("sweep-learning", title, caption, f"Lines of validation {metric.words} by epoch: {words}.")


def _validations(run: Run, sweep: Sweep) -> dict[str, dict[int, float]]:
    """The metric on validation data of each case by epoch, mean over the seeds that were trained for so long."""
    stages = {training.stage: case.name for case in sweep.cases for training in case.trainings}
    values_by_case: dict[str, dict[int, list[float]]] = {}
    for epoch in run.epochs:
        value = epoch.primary(sweep.metric.name)
        if epoch.stage in stages and value is not None:
            by_epoch = values_by_case.setdefault(stages[epoch.stage], {})
            by_epoch.setdefault(epoch.epoch, []).append(value)
    return {
        case: {epoch: statistics.fmean(values) for epoch, values in sorted(by_epoch.items())}
        for case, by_epoch in values_by_case.items()
    }


def _seeds(cases: Sequence[Case]) -> str:
    """What the band around a line is."""
    counts = {len(case.values) for case in cases}
    if counts == {1}:
        return ""
    many = f"{max(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    return f"Lines: mean of {many} seeds; bands: from the worst to the best of them."


def _listed(cases: Sequence[Case], name: str, metric: Metric) -> str:
    return ", ".join(f"{metric_text.value(case.mean, metric)} at {name} {rounded(case.x)}" for case in cases)
