"""A comparison in words and tables: which case does best, how far from the baseline, what it took."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from lightloom.report import metric_text, units
from lightloom.report.pages import metric_tables
from lightloom.report.pages.key_figures import Card
from lightloom.report.plots.angles import WHOLE, Point, watched
from lightloom.report.readers.run import Run
from lightloom.report.readers.sweep import Case, Sweep, by_series
from lightloom.schemas import ACCURACY, Metric

MOST_SERIES = 8  # columns of the table by x, before it is wider than the page


@dataclass(frozen=True)
class Row:
    """One x of a comparison and the case of each series there, None where there is none."""

    x: str
    cases: tuple[Case | None, ...]
    best: Case | None


@dataclass(frozen=True)
class AngleRow:
    """One case and the gradient of each layer when last measured, None where it was not; all weights come first."""

    name: str
    points: tuple[Point | None, ...]


def story(sweep: Sweep) -> str:
    """The best case in one sentence, and how it stands to the baseline."""
    best, baseline, metric = sweep.best, sweep.baseline, sweep.metric
    seeds = len(best.values)
    ahead = baseline is None or metric.gain(baseline.mean, best.mean) >= 0
    beside = "" if ahead or baseline is None else f"Beside “{baseline.name}”, "
    sentence = f"{beside}“{best.name}” does best: {_named(best, metric)}"
    sentence += f" over {seeds} seeds" if seeds > 1 else ""
    if baseline is None or baseline is best:
        return f"{sentence}."
    percentage = metric_tables.share(sweep, best)
    share = f"; that is {percentage} of it" if metric.name != ACCURACY and percentage != units.ABSENT else ""
    return f"{sentence}, {_against(best, baseline, metric)}{share}."


def cards(sweep: Sweep) -> list[Card]:
    """The best case, its distance to the baseline, the number of trainings and their time."""
    best, baseline, metric = sweep.best, sweep.baseline, sweep.metric
    runs = sum(len(case.trainings) for case in sweep.cases)
    std = "" if best.std is None else f", ±{units.NO_BREAK}{_deviation(best.std, metric)}"
    title = f"Best {'case' if metric.name == ACCURACY else metric.words}"
    figures = [Card(title, metric_text.value(best.mean, metric), f"{best.name}{std}")]
    if baseline is not None and baseline is not best:
        difference = metric_text.difference(best.mean - baseline.mean, metric)
        unit = metric_text.difference_unit(metric)
        text = f"{difference}{units.NO_BREAK}{unit}" if unit else difference
        figures.append(Card(f"Against {baseline.name}", text, f"which reaches {_named(baseline, metric)}"))
    figures.append(Card("Trainings", units.count(runs), _shape(sweep)))
    times = [training.seconds for case in sweep.cases for training in case.trainings if training.seconds is not None]
    if times:
        note = f"median of one: {units.duration(statistics.median(times))}"
        figures.append(Card("Time in training", units.duration(math.fsum(times)), note))
    return figures


def facts(run: Run) -> dict[str, Any] | None:
    """What the section on the comparison tells, None where nothing was compared."""
    if run.sweep is None:
        return None
    sweep, series, metric = run.sweep, list(by_series(run.sweep.along)), run.sweep.metric
    return {
        "lead": _lead(sweep),
        "x": sweep.asked.x or "x",
        "series": series,
        "rows": by_x(sweep) if len(sweep.places) > 1 and len(series) <= MOST_SERIES else [],
        "cases": sweep.cases,
        "metric": metric.words,
        "unit": f" / {unit}" if (unit := "%" if metric.percent else metric.unit) else "",
        "others": metric_tables.table(sweep),
        "class_metric": metric_tables.class_metric(sweep).words,
        "classes": metric_tables.class_rows(sweep) if len(sweep.cases) <= MOST_SERIES else [],
        "baseline": sweep.baseline,
        "difference_unit": f" / {unit}" if (unit := metric_text.difference_unit(metric)) else "",
        "difference": lambda case: metric_text.difference(
            case.mean - sweep.baseline.mean if sweep.baseline else None, metric
        ),
        "spread": lambda case: metric_text.spread(case.mean, case.std, metric),
        "bare": lambda case: metric_text.spread(case.mean, case.std, metric, unit=False),
    }


def by_x(sweep: Sweep) -> list[Row]:
    """The cases along x, a row an x and a column a series."""
    series = by_series(sweep.along)
    rows = []
    for x in sweep.places:
        cases = tuple(next((case for case in line if case.x == x), None) for line in series.values())
        present = [case for case in cases if case is not None]
        rows.append(Row(units.rounded(x), cases, sweep.best_of(present) if len(series) > 1 else None))
    return rows


def angle_facts(run: Run) -> dict[str, Any] | None:
    """What the section on gradients tells, None where no angle was measured."""
    cases = watched(run)
    if not cases:
        return None
    layers = sorted(dict.fromkeys(layer for case in cases for layer in case.layers), key=lambda name: name != WHOLE)
    return {
        "layers": ["all weights" if layer == WHOLE else layer for layer in layers],
        "rows": [AngleRow(case.name, tuple(case.at(layer) for layer in layers)) for case in cases],
    }


def _named(case: Case, metric: Metric) -> str:
    return metric_text.name_before(metric) + metric_text.spread(case.mean, case.std, metric)


def _deviation(std: float, metric: Metric) -> str:
    return f"{100 * std:.2f}" if metric.percent else units.number(std, 2)


def _against(best: Case, baseline: Case, metric: Metric) -> str:
    difference = best.mean - baseline.mean
    if metric.percent and round(100 * difference, 1) == 0:
        return f"the same as “{baseline.name}” to a tenth of a point"
    way = "above" if difference > 0 else "below"
    amount = f"{abs(100 * difference):.1f}" if metric.percent else units.number(abs(difference))
    text = f"{amount} {metric_text.difference_unit(metric)}".strip() + f" {way} “{baseline.name}”"
    if best.std is None or baseline.std is None:
        return text
    noise = math.hypot(best.std, baseline.std)
    return f"{text}, which is within the spread of the seeds" if abs(difference) <= noise else text


def _shape(sweep: Sweep) -> str:
    """How many cases, and how many seeds of each."""
    counts = {len(case.trainings) for case in sweep.cases}
    seeds = f"{min(counts)}" if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
    return f"{_some(len(sweep.cases), 'case')}, {seeds} {'seed' if counts == {1} else 'seeds'} each"


def _some(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _lead(sweep: Sweep) -> str:
    """How a case is measured and what an uncertainty is."""
    means = any(case.std is not None for case in sweep.cases)
    spread = " A figure after ± is the standard deviation over the seeds." if means else ""
    return f"Each case is trained anew with each seed, and measured on test data that it never saw.{spread}"
