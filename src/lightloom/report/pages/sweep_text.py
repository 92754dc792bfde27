"""A comparison in words and tables: which case does best, how far from the baseline, what it took."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import Any

from lightloom.report import units
from lightloom.report.pages import metric_tables
from lightloom.report.pages.key_figures import Card
from lightloom.report.plots.angles import WHOLE, Point, watched
from lightloom.report.readers.run import Run
from lightloom.report.readers.sweep import ACCURACY, Case, Sweep, by_series

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
    best, baseline = sweep.best, sweep.baseline
    seeds = len(best.accuracies)
    beside = "" if baseline is None or best.mean >= baseline.mean else f"Beside “{baseline.name}”, "
    told = f"{beside}“{best.name}” does best: {metric_tables.named(sweep)}{units.plus_minus(best.mean, best.std)}"
    told += f" over {seeds} seeds" if seeds > 1 else ""
    if baseline is None or baseline is best:
        return f"{told}."
    percentage = metric_tables.share(sweep, best)
    known = sweep.measure != ACCURACY and percentage != units.ABSENT
    share = f"; that is {percentage} of it" if known else ""
    return f"{told}, {_against(best, baseline)}{share}."


def cards(sweep: Sweep) -> list[Card]:
    """The best case, its distance to the baseline, the number of trainings and their time."""
    best, baseline = sweep.best, sweep.baseline
    runs = sum(len(case.trainings) for case in sweep.cases)
    spread = f", ±{units.NO_BREAK}{100 * best.std:.2f}" if best.std is not None else ""
    found = [
        Card(
            f"Best {sweep.measure if sweep.measure != ACCURACY else 'case'}",
            units.percent(best.mean),
            f"{best.name}{spread}",
        )
    ]
    if baseline is not None and baseline is not best:
        note = f"which reaches {metric_tables.named(sweep)}{units.plus_minus(baseline.mean, baseline.std)}"
        found.append(Card(f"Against {baseline.name}", f"{_points(best, baseline)}{units.NO_BREAK}points", note))
    found.append(Card("Trainings", units.count(runs), _shape(sweep)))
    times = [training.seconds for case in sweep.cases for training in case.trainings if training.seconds is not None]
    if times:
        note = f"median of one: {units.duration(statistics.median(times))}"
        found.append(Card("Time in training", units.duration(math.fsum(times)), note))
    return found


def facts(run: Run) -> dict[str, Any] | None:
    """What the section on the comparison tells, None where nothing was compared."""
    if run.sweep is None:
        return None
    sweep, series = run.sweep, list(by_series(run.sweep.along))
    return {
        "lead": _lead(sweep),
        "x": sweep.asked.x or "x",
        "series": series,
        "rows": by_x(sweep) if len(sweep.places) > 1 and len(series) <= MOST_SERIES else [],
        "cases": sweep.cases,
        "measure": sweep.measure,
        "figures": metric_tables.table(sweep),
        "class_measure": metric_tables.class_measure(sweep),
        "classes": metric_tables.class_rows(sweep) if len(sweep.cases) <= MOST_SERIES else [],
        "baseline": sweep.baseline,
        "difference": lambda case: units.points(case.mean - sweep.baseline.mean) if sweep.baseline else units.ABSENT,
    }


def by_x(sweep: Sweep) -> list[Row]:
    """The cases along x, a row an x and a column a series."""
    series = by_series(sweep.along)
    rows = []
    for x in sweep.places:
        cases = tuple(next((case for case in found if case.x == x), None) for found in series.values())
        present = [case for case in cases if case is not None]
        rows.append(Row(units.rounded(x), cases, max(present, key=lambda case: case.mean) if len(series) > 1 else None))
    return rows


def angle_facts(run: Run) -> dict[str, Any] | None:
    """What the section on gradients tells, None where no angle was measured."""
    found = watched(run)
    if not found:
        return None
    layers = sorted(dict.fromkeys(layer for case in found for layer in case.layers), key=lambda name: name != WHOLE)
    return {
        "layers": ["all weights" if layer == WHOLE else layer for layer in layers],
        "rows": [AngleRow(case.name, tuple(case.at(layer) for layer in layers)) for case in found],
    }


def _points(one: Case, other: Case) -> str:
    return units.points(one.mean - other.mean)


def _against(best: Case, baseline: Case) -> str:
    difference = best.mean - baseline.mean
    if round(100 * difference, 1) == 0:
        return f"the same as “{baseline.name}” to a tenth of a point"
    way = "above" if difference > 0 else "below"
    told = f"{abs(100 * difference):.1f} points {way} “{baseline.name}”"
    if best.std is None or baseline.std is None:
        return told
    noise = math.hypot(best.std, baseline.std)
    return f"{told}, which is within the spread of the seeds" if abs(difference) <= noise else told


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
    return f"Each case is trained anew with each seed, and measured on images that it never saw.{spread}"
