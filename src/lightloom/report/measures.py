"""The figures of cases that are compared by more than one, and of each class alone: what the tables hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from lightloom.report import units
from lightloom.report.read_sweep import ACCURACY, Case, Spread, Sweep

PRECISION = "AP"
_COCO = {
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
BASELINE = "baseline"


@dataclass(frozen=True)
class FigureRow:
    """One case: what it is to the others, its share of the baseline, and its figures."""

    case: Case
    roles: tuple[str, ...]
    share: str
    figures: tuple[Spread, ...]


@dataclass(frozen=True)
class Table:
    """Rows under headings; `best` has, by column, the row of greatest mean that is no baseline, None for a lone one."""

    headings: tuple[str, ...]
    rows: tuple[FigureRow, ...]
    best: tuple[FigureRow | None, ...]
    note: str


@dataclass(frozen=True)
class ClassRow:
    """One class: the figure of each case, and which is the greatest of those that are no baseline."""

    name: str
    figures: tuple[Spread, ...]
    best: Spread | None


def table(sweep: Sweep) -> Table | None:
    """The figures of every case, None where there are none beside the one that cases are compared by."""
    names = _figures(sweep)
    if not names:
        return None
    rows = tuple(
        FigureRow(case, roles(sweep, case), share(sweep, case), tuple(case.figure(name) for name in names))
        for case in sweep.cases
    )
    others = [row for row in rows if row.case not in sweep.baselines]
    best = tuple(_best(others, column) for column in range(len(names)))
    coco = sweep.measure == PRECISION
    told = "; ".join(_NOTES[name] for name in (PRECISION, *names) if name in _NOTES) if coco else ""
    return Table(tuple(_COCO.get(name, name) if coco else name for name in names), rows, best, f"{told}." * bool(told))


def class_rows(sweep: Sweep) -> list[ClassRow]:
    """A row a class that one case at least has a figure of, in order of appearance."""
    names = dict.fromkeys(name for case in sweep.cases for training in case.trainings for name in training.per_class)
    found = {name: tuple(case.of_class(name) for case in sweep.cases) for name in names}
    known = {name: row for name, row in found.items() if any(figure.mean is not None for figure in row)}
    compared = [case not in sweep.baselines for case in sweep.cases]
    return [ClassRow(name, row, _greatest(list(compress(row, compared)))) for name, row in known.items()]


def roles(sweep: Sweep, case: Case) -> tuple[str, ...]:
    """What a case is to the others, in words: the baseline, a teacher, or taught by one."""
    told = [BASELINE] if case in sweep.baselines else []
    told += ["teacher"] if any(other.teacher == case.name for other in sweep.cases) else []
    told += [f"taught by {case.teacher}"] if case.teacher else []
    return tuple(told)


def share(sweep: Sweep, case: Case) -> str:
    """The figure of a case over that of the baseline, in percent."""
    baseline = sweep.baseline
    return units.percent(case.mean / baseline.mean) if baseline is not None and baseline.mean else units.ABSENT


def named(sweep: Sweep) -> str:
    """What goes before a figure in a sentence: an accuracy needs no name."""
    return "" if sweep.measure == ACCURACY else f"{sweep.measure} "


def _figures(sweep: Sweep) -> list[str]:
    """Names of the figures to show: of COCO's the usual ones, of others all."""
    known = dict.fromkeys(
        name
        for case in sweep.cases
        for training in case.trainings
        for name, value in training.figures.items()
        if value is not None
    )
    if sweep.measure == PRECISION:
        shown = [name for name in _COCO if name in known]
        return [name for name in shown if name != "AR100" or "AR" not in shown]
    return [name for name in known if name != sweep.measure]


def _best(rows: Sequence[FigureRow], column: int) -> FigureRow | None:
    greatest = _greatest([row.figures[column] for row in rows])
    return next((row for row in rows if row.figures[column] is greatest), None) if greatest is not None else None


def _greatest(figures: Sequence[Spread]) -> Spread | None:
    known = [figure for figure in figures if figure.mean is not None]
    return max(known, key=lambda figure: figure.mean or 0.0) if len(known) > 1 else None
