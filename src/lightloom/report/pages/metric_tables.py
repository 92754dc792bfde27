"""The figures of cases that are compared by more than one, and of each class alone: what the tables hold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

from lightloom.report import units
from lightloom.report.readers.sweep import ACCURACY, ERRORS, Case, Spread, Sweep

PRECISION, SCORE = "AP", "NDS"
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
"""Figure from which on others are told as a percentage of it: a tenth of a percent."""


@dataclass(frozen=True)
class FigureRow:
    """One case: what it is to the others, its shares of the baseline and of a teacher, and its figures."""

    case: Case
    roles: tuple[str, ...]
    share: str
    of_teacher: str
    figures: tuple[Spread, ...]


@dataclass(frozen=True)
class Table:
    """Rows under headings; `best` has, by column, the contender that is best there, None for a lone one."""

    headings: tuple[str, ...]
    errors: tuple[bool, ...]
    """By column, whether it is an error: not in percent, and better where it is less."""
    teaches: bool
    """Whether there is a teacher beside the baseline."""
    rows: tuple[FigureRow, ...]
    best: tuple[FigureRow | None, ...]
    note: str


@dataclass(frozen=True)
class ClassRow:
    """One class: the figure of each case, and which is the greatest of the contenders."""

    name: str
    figures: tuple[Spread, ...]
    best: Spread | None


def table(sweep: Sweep) -> Table | None:
    """The figures of every case, None where there are none beside the one that cases are compared by."""
    names = _figures(sweep)
    if not names:
        return None
    rows = tuple(
        FigureRow(
            case,
            roles(sweep, case),
            share(sweep, case),
            share_of_teacher(sweep, case),
            tuple(case.figure(name) for name in names),
        )
        for case in sweep.cases
    )
    compared = [row for row in rows if row.case in sweep.contenders]
    coco = sweep.measure == PRECISION
    return Table(
        tuple(_COCO.get(name, name) if coco else name for name in names),
        tuple(name in ERRORS for name in names),
        bool(_beside(sweep)),
        rows,
        tuple(_best(compared, column, name in ERRORS) for column, name in enumerate(names)),
        _note(sweep.measure, names),
    )


def class_rows(sweep: Sweep) -> list[ClassRow]:
    """A row a class that one case at least has a figure of, in order of appearance."""
    names = dict.fromkeys(name for case in sweep.cases for training in case.trainings for name in training.per_class)
    found = {name: tuple(case.of_class(name) for case in sweep.cases) for name in names}
    known = {name: row for name, row in found.items() if any(figure.mean is not None for figure in row)}
    compared = [case in sweep.contenders for case in sweep.cases]
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
    return part_of(case.mean, None if baseline is None else baseline.mean)


def share_of_teacher(sweep: Sweep, case: Case) -> str:
    """The figure of a case over that of its teacher, in percent; over that of the only teacher where it has none."""
    teachers = _beside(sweep)
    own = [teacher for teacher in teachers if teacher.name == case.teacher] or (teachers if len(teachers) == 1 else [])
    return part_of(case.mean, own[0].mean) if own and own[0] is not case else units.ABSENT


def part_of(figure: float | None, whole: float | None) -> str:
    """One figure in percent of another, or that there is none where the other is next to nothing.

    Args:
        figure: What is compared.
        whole: What it is compared with. A figure of it below `LEAST`, or below 0 or not finite, has no percentage that
            says anything: any other is then many times it.
    """
    if figure is None or whole is None or not (math.isfinite(figure) and math.isfinite(whole)):
        return units.ABSENT
    return units.percent(figure / whole) if whole >= LEAST and figure >= 0 else units.ABSENT


def class_measure(sweep: Sweep) -> str:
    """What the figure of a class is called."""
    return PRECISION if sweep.measure == SCORE else sweep.measure


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


def _beside(sweep: Sweep) -> list[Case]:
    """The teachers that are no baseline."""
    return [case for case in sweep.teachers if case not in sweep.baselines]


def _note(measure: str, names: Sequence[str]) -> str:
    """What the figures are, as far as the measure is a known one."""
    notes = {PRECISION: _NOTES, SCORE: _NUSCENES}.get(measure, {})
    told = "; ".join(notes[name] for name in (measure, *names) if name in notes)
    return f"{told}." if told else ""


def _best(rows: Sequence[FigureRow], column: int, is_error: bool) -> FigureRow | None:
    best = (
        _least([row.figures[column] for row in rows]) if is_error else _greatest([row.figures[column] for row in rows])
    )
    return next((row for row in rows if row.figures[column] is best), None) if best is not None else None


def _greatest(figures: Sequence[Spread]) -> Spread | None:
    known = [figure for figure in figures if figure.mean is not None]
    return max(known, key=lambda figure: figure.mean or 0.0) if len(known) > 1 else None


def _least(figures: Sequence[Spread]) -> Spread | None:
    known = [figure for figure in figures if figure.mean is not None]
    return min(known, key=lambda figure: figure.mean or 0.0) if len(known) > 1 else None
