"""What a comparison says of itself: `sweep.json`, `curves.json` and `angles.json`, read, checked and grouped."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightloom.schemas import (
    GradientAngle,
    Metric,
    ResponseCurve,
    ResponseCurves,
    Summary,
    SweepRow,
    SweepSummary,
    describe,
    read,
)


@dataclass(frozen=True)
class Spread:
    """A metric over seeds: its mean, None where no seed has it, and its deviation, of the sample; None for one seed."""

    mean: float | None
    std: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread:
        """The spread of a value over seeds, None where a seed has no value."""
        numbers = [value for value in values if value is not None]
        return cls(
            statistics.fmean(numbers) if numbers else None, statistics.stdev(numbers) if len(numbers) > 1 else None
        )


@dataclass(frozen=True)
class Case:
    """One case of a comparison, over its seeds; it has been tested with one at least."""

    name: str
    series: str
    x: float | None
    trainings: tuple[SweepRow, ...]

    @property
    def values(self) -> list[float]:
        """The primary metric of each seed that was tested."""
        return [training.value for training in self.trainings if training.value is not None]

    @property
    def mean(self) -> float:
        """The primary metric, mean over the seeds."""
        return statistics.fmean(self.values)

    @property
    def std(self) -> float | None:
        """Standard deviation of the primary metric over the seeds, of the sample; None for one seed."""
        return statistics.stdev(self.values) if len(self.values) > 1 else None

    @property
    def teacher(self) -> str:
        """The name of the teacher; empty where nobody taught."""
        return self.trainings[0].teacher

    def spread(self, name: str) -> Spread:
        """Any metric of the same tests, over the seeds."""
        return Spread.of(training.metrics.get(name) for training in self.trainings)

    def of_class(self, name: str) -> Spread:
        """The metric of one class alone, over the seeds."""
        return Spread.of(training.per_class.get(name) for training in self.trainings)

    @property
    def best_epoch(self) -> float | None:
        """Epoch of the weights that were kept, mean over the seeds."""
        return _mean(training.best_epoch for training in self.trainings)

    @property
    def epochs(self) -> int | None:
        """Epochs of the longest training."""
        return max((training.epochs for training in self.trainings if training.epochs is not None), default=None)

    @property
    def seconds(self) -> float | None:
        """Wall time of one training, mean over the seeds."""
        return _mean(training.seconds for training in self.trainings)


@dataclass(frozen=True)
class Sweep:
    """A comparison: what was asked and what came of it so far."""

    asked: SweepSummary
    cases: tuple[Case, ...]
    metric: Metric
    """What cases are compared by."""

    def describe(self, name: str) -> Metric:
        """How any metric of the tests is written and which way it is better."""
        return describe(name, (self.metric, *self.cases[0].trainings[0].others))

    def best_of(self, cases: Iterable[Case]) -> Case | None:
        """The case with the best mean of the primary metric, None of none."""
        by_place = list(cases)
        if not by_place:
            return None
        return by_place[self.metric.best({place: case.mean for place, case in enumerate(by_place)})]

    @property
    def along(self) -> tuple[Case, ...]:
        """The cases that differ in x."""
        return tuple(case for case in self.cases if case.x is not None)

    @property
    def levels(self) -> tuple[Case, ...]:
        """The cases without x."""
        return tuple(case for case in self.cases if case.x is None)

    @property
    def places(self) -> list[float]:
        """Every x, ascending; a line needs two."""
        return sorted({case.x for case in self.along if case.x is not None})

    @property
    def baselines(self) -> tuple[Case, ...]:
        """The cases that the others are held against."""
        name = self.asked.baseline
        namesakes = tuple(case for case in self.cases if case.name == name)
        return namesakes or tuple(case for case in self.cases if case.series == name)

    @property
    def baseline(self) -> Case | None:
        """The best of `baselines`."""
        return self.best_of(self.baselines)

    @property
    def teachers(self) -> tuple[Case, ...]:
        """The cases that others were taught by."""
        names = {case.teacher for case in self.cases}
        return tuple(case for case in self.cases if case.name in names)

    @property
    def contenders(self) -> tuple[Case, ...]:
        """The cases that are neither a baseline nor a teacher that nobody taught; all where there are no others."""
        aside = (*self.baselines, *(case for case in self.teachers if not case.teacher))
        return tuple(case for case in self.cases if case not in aside) or self.cases

    @property
    def best(self) -> Case:
        """The contender with the best mean of the primary metric."""
        return self.best_of(self.contenders) or self.cases[0]


def read_sweep(path: Path, summary: Summary) -> Sweep | None:
    """The comparison in `sweep.json`, None where none was tested.

    Args:
        path: The file; it need not be there.
        summary: What the run says of the comparison and of its metric.

    Raises:
        RequestError: The file cannot be read.
    """
    rows = read(path, list[SweepRow], [])
    latest = {(row.case, row.seed): row for row in rows}.values()
    names = dict.fromkeys(row.case for row in latest if row.value is not None)
    cases = tuple(_case(name, [row for row in latest if row.case == name]) for name in names)
    if not cases:
        return None
    metric = cases[0].trainings[0].metric
    if summary.metric is not None and summary.metric.name == metric.name:
        metric = summary.metric
    return Sweep(summary.sweep or SweepSummary(), cases, metric)


def read_curves(path: Path) -> tuple[ResponseCurve, ...]:
    """The responses in `curves.json`, none where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return tuple(read(path, ResponseCurves, ResponseCurves()).curves)


def read_angles(path: Path) -> tuple[GradientAngle, ...]:
    """The lines of `angles.json` that hold an angle, none where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return tuple(angle for angle in read(path, list[GradientAngle], []) if angle.angle_deg is not None)


def by_series(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """Cases under the name of their series, in order of appearance; those with x by ascending x."""
    grouped: dict[str, list[Case]] = {}
    for case in cases:
        grouped.setdefault(case.series, []).append(case)
    return {series: sorted(members, key=lambda case: case.x or 0.0) for series, members in grouped.items()}


def ranked(sweep: Sweep | None, names: Iterable[str]) -> list[str]:
    """Names of cases in the order of the comparison; those that it does not have come last, in their own order.

    Args:
        sweep: The comparison, None where there is none.
        names: Names of cases.
    """
    ranks = {case.name: rank for rank, case in enumerate(sweep.cases)} if sweep else {}
    return sorted(dict.fromkeys(names), key=lambda name: ranks.get(name, len(ranks)))


def _case(name: str, rows: Sequence[SweepRow]) -> Case:
    return Case(name, rows[0].series or name, rows[0].x, tuple(rows))


def _mean(values: Iterable[float | None]) -> float | None:
    return Spread.of(values).mean
