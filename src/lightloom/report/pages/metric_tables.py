"""All metrics of the cases of a comparison, and the metric of each class alone: what the tables hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from lightloom.report import metric_text, units
from lightloom.report.readers.sweep import Case, Spread, Sweep
from lightloom.schemas import Metric, describe

PRECISION, SCORE = "AP", "NDS"
_HEADINGS = {
    "AP50": "AP50",
    "AP75": "AP75",
    "APs": "small",
    "APm": "medium",
    "APl": "large",
    "AR": "recall",
    "AR100": "recall",
}
_NOTES = {
    PRECISION: "AP, the average precision of COCO, is the mean over classes and over overlaps of 0.50 to 0.95",
    "AP50": "AP50 and AP75 ask for an overlap of 0.50 and of 0.75",
    "APs": "small objects have an area below 32² px, large ones above 96² px",
}
_NUSCENES = {
    SCORE: "NDS, the detection score of nuScenes, is one half mAP; the other half is the mean of 1 − error over the "
    "five errors, where an error above 1 counts as 1",
    "mAP": "mAP is the mean over classes, and over distances of 0.5, 1, 2 and 4 m between centres",
    "mATE": "the errors are those of objects that are found within 2 m, and less is better: of place (mATE) in m",
    "mASE": "of size (mASE) as 1 − overlap",
    "mAOE": "of heading (mAOE) in rad",
    "mAVE": "of velocity (mAVE) in m/s",
    "mAAE": "of attributes (mAAE) as a part of all",
}
BASELINE = "baseline"
LEAST = 0.001
"""Value from which on others are told as a percentage of it: a tenth of a percent."""


@dataclass(frozen=True)
class Cell:
    """A metric over the seeds: its mean and its spread as texts, and the mean that it is sorted by."""

    mean: float | None
    text: str
    spread: str


@dataclass(frozen=True)
class MetricRow:
    """One case: what it is to the others, its shares of the baseline and of a teacher, and its metrics."""

    case: Case
    roles: tuple[str, ...]
    share: str
    of_teacher: str
    values: tuple[Cell, ...]


@dataclass(frozen=True)
class Table:
    """Rows under headings; `best` has, by column, the contender that is best there, None for a lone one."""

    headings: tuple[str, ...]
    errors: bool
    """Whether a column is in a unit of its own, not in percent."""
    teaches: bool
    """Whether there is a teacher beside the baseline."""
    rows: tuple[MetricRow, ...]
    best: tuple[MetricRow | None, ...]
    note: str


@dataclass(frozen=True)
class ClassRow:
    """One class: the metric of each case, and which is the best of the contenders."""

    name: str
    values: tuple[Cell, ...]
    best: Cell | None


def table(sweep: Sweep) -> Table | None:
    """All metrics of every case, None where there are none beside the one that cases are compared by."""
    names = _names(sweep)
    if not names:
        return None
    metrics = [sweep.describe(name) for name in names]
    rows = tuple(
        MetricRow(
            case,
            roles(sweep, case),
            share(sweep, case),
            share_of_teacher(sweep, case),
            tuple(_cell(case.spread(metric.name), metric) for metric in metrics),
        )
        for case in sweep.cases
    )
    compared = [row for row in rows if row.case in sweep.contenders]
    return Table(
        tuple(_HEADINGS.get(name, name) if sweep.metric.name == PRECISION else name for name in names),
        not all(metric.percent for metric in metrics),
        bool(_beside(sweep)),
        rows,
        tuple(_best_row(compared, column, metric) for column, metric in enumerate(metrics)),
        _note(sweep.metric.name, names),
    )


def class_rows(sweep: Sweep) -> list[ClassRow]:
    """A row a class that one case at least has a metric of, in order of appearance."""
    metric = class_metric(sweep)
    names = dict.fromkeys(name for case in sweep.cases for training in case.trainings for name in training.per_class)
    cells = {name: tuple(_cell(case.of_class(name), metric) for case in sweep.cases) for name in names}
    by_class = {name: row for name, row in cells.items() if any(cell.mean is not None for cell in row)}
    compared = [case in sweep.contenders for case in sweep.cases]
    return [ClassRow(name, row, _best(list(compress(row, compared)), metric)) for name, row in by_class.items()]


def _cell(spread: Spread, metric: Metric) -> Cell:
    if metric.percent:
        return Cell(spread.mean, metric_text.spread(spread.mean, spread.std, metric, unit=False), "")
    std = "" if spread.std is None else f"± {spread.std:.3f}"
    return Cell(spread.mean, units.ABSENT if spread.mean is None else f"{spread.mean:.3f}", std)


def roles(sweep: Sweep, case: Case) -> tuple[str, ...]:
    """What a case is to the others, in words: the baseline, a teacher, or taught by one.

    Args:
        sweep: The comparison.
        case: The case.
    """
    names = [BASELINE] if case in sweep.baselines else []
    names += ["teacher"] if any(other.teacher == case.name for other in sweep.cases) else []
    names += [f"taught by {case.teacher}"] if case.teacher else []
    return tuple(names)


def share(sweep: Sweep, case: Case) -> str:
    """The metric of a case over that of the baseline, in percent.

    Args:
        sweep: The comparison.
        case: The case.
    """
    baseline = sweep.baseline if sweep.metric.percent else None
    return part_of(case.mean, None if baseline is None else baseline.mean)


def share_of_teacher(sweep: Sweep, case: Case) -> str:
    """The metric of a case over that of its teacher, in percent; over that of the only teacher where it has none.

    Args:
        sweep: The comparison.
        case: The case.
    """
    if not sweep.metric.percent:
        return units.ABSENT
    teachers = _beside(sweep)
    own = [teacher for teacher in teachers if teacher.name == case.teacher] or (teachers if len(teachers) == 1 else [])
    return part_of(case.mean, own[0].mean) if own and own[0] is not case else units.ABSENT


def part_of(figure: float | None, whole: float | None) -> str:
    """One value in percent of another, or that there is none where the other is next to nothing.

    Args:
        figure: What is compared.
        whole: What it is compared with. A value of it below `LEAST`, or below 0 or not finite, has no percentage that
            says anything: any other is then many times it.
    """
    if figure is None or whole is None or not (math.isfinite(figure) and math.isfinite(whole)):
        return units.ABSENT
    return units.percent(figure / whole) if whole >= LEAST and figure >= 0 else units.ABSENT


def class_metric(sweep: Sweep) -> Metric:
    """The metric that each class alone has: the primary one, or the precision that NDS averages."""
    return describe(PRECISION) if sweep.metric.name == SCORE else sweep.metric


def _names(sweep: Sweep) -> list[str]:
    """Names of the metrics to show beside the primary one: of COCO's the usual ones, of others all."""
    names = dict.fromkeys(
        name
        for case in sweep.cases
        for training in case.trainings
        for name, value in training.metrics.items()
        if value is not None
    )
    if sweep.metric.name == PRECISION:
        columns = [name for name in _HEADINGS if name in names]
        return [name for name in columns if name != "AR100" or "AR" not in columns]
    return [name for name in names if name != sweep.metric.name]


def _beside(sweep: Sweep) -> list[Case]:
    """The teachers that are no baseline."""
    return [case for case in sweep.teachers if case not in sweep.baselines]


def _note(primary: str, names: Sequence[str]) -> str:
    """What the metrics are, as far as the primary one is published."""
    notes = {PRECISION: _NOTES, SCORE: _NUSCENES}.get(primary, {})
    text = "; ".join(notes[name] for name in (primary, *names) if name in notes)
    return f"{text}." if text else ""


def _best_row(rows: Sequence[MetricRow], column: int, metric: Metric) -> MetricRow | None:
    best = _best([row.values[column] for row in rows], metric)
    return next((row for row in rows if row.values[column] is best), None) if best is not None else None


def _best(cells: Sequence[Cell], metric: Metric) -> Cell | None:
    """The best of two and more, None where fewer are known."""
    means = {place: cell.mean for place, cell in enumerate(cells) if cell.mean is not None}
    return cells[metric.best(means)] if len(means) > 1 else None
