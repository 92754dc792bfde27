"""What a comparison says of itself: `sweep.json`, `curves.json` and `angles.json`, read, checked and grouped."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from lightloom.report.readers.schema_check import Amount, Degrees, Fraction, Real, read_file

ACCURACY = "accuracy"
ERRORS = ("mATE", "mASE", "mAOE", "mAVE", "mAAE")
"""Figures of nuScenes that are errors, in units of their own: they may be above 1, and less is better."""
Finite = Annotated[float, Field(allow_inf_nan=False)]
# COCO writes -1 where there is nothing to find
_without_absent = BeforeValidator(lambda value: None if value == -1 else value)
Figure = Annotated[Fraction, _without_absent]


class Asked(BaseModel):
    """What a comparison set out to compare, as the summary has it."""

    x: str = ""
    """Name of what is varied."""
    scale: Literal["linear", "log"] = "linear"
    baseline: str | None = None
    """The case that the others are held against, or a series of such cases."""


class Training(BaseModel):
    """One line of `sweep.json`: one case, trained and tested with one seed."""

    case: str
    series: str = ""
    x: Real = None
    seed: int = 0
    accuracy: Fraction = None
    """The figure that cases are compared by, whatever `measure` calls it."""
    measure: str = ACCURACY
    figures: dict[str, Annotated[Amount, _without_absent]] = {}
    """Other figures of the same test, by name: fractions, but for `ERRORS`."""
    per_class: dict[str, Figure] = {}
    """The same figure for each class alone; of NDS, the average precision."""
    teacher: str = ""
    """The case, or whoever else, that this one was taught by; empty where by nobody."""
    epochs: int | None = None
    best_epoch: int | None = None
    seconds: Amount = None

    @model_validator(mode="after")
    def _figures_are_fractions(self) -> Training:
        for name, value in self.figures.items():
            if value is not None and value > 1 and name not in ERRORS:
                raise ValueError(f"`{name}` is {value:g}; a figure that is no error is a fraction, 0 ... 1")
        return self

    @property
    def stage(self) -> str:
        """As `metrics.jsonl` names it."""
        return f"{self.case}, seed {self.seed}"


class Curve(BaseModel):
    """The response of one absorber: output, exact derivative and what a probe sees, at each x."""

    name: str
    encoding: Literal["amplitude", "intensity"] = "amplitude"
    x: list[Finite] = Field(min_length=2)
    output: list[Finite]
    exact: list[Finite]
    probe: list[Finite]

    @model_validator(mode="after")
    def _is_a_function(self) -> Curve:
        lengths = {name: len(getattr(self, name)) for name in ("x", "output", "exact", "probe")}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{length} in `{name}`" for name, length in lengths.items())
            raise ValueError(f"a curve has one value for each x; found {told}")
        if any(after <= before for before, after in pairwise(self.x)):
            raise ValueError("the x of a curve ascend; found one that does not")
        return self


class Curves(BaseModel):
    """The whole of `curves.json`."""

    curves: list[Curve] = []


class Angle(BaseModel):
    """How far the gradient of one layer, measured in one way, is from the exact one."""

    case: str
    x: Real = None
    seed: int = 0
    epoch: int
    kind: str = "probe"
    layer: str
    angle_deg: Degrees = None
    norm_ratio: Amount = None


@dataclass(frozen=True)
class Spread:
    """A figure over seeds: its mean, None where no seed has it, and its deviation, of the sample; None for one seed."""

    mean: float | None
    std: float | None

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread:
        """From the value of each seed, None where a seed has none."""
        known = [value for value in values if value is not None]
        return cls(statistics.fmean(known) if known else None, statistics.stdev(known) if len(known) > 1 else None)


@dataclass(frozen=True)
class Case:
    """One case of a comparison, over its seeds; it has been tested with one at least."""

    name: str
    series: str
    x: float | None
    trainings: tuple[Training, ...]

    @property
    def accuracies(self) -> list[float]:
        """Of each seed that was tested."""
        return [training.accuracy for training in self.trainings if training.accuracy is not None]

    @property
    def mean(self) -> float:
        """Accuracy, over the seeds."""
        return statistics.fmean(self.accuracies)

    @property
    def std(self) -> float | None:
        """Standard deviation of the accuracy over the seeds, of the sample; None for one seed."""
        return statistics.stdev(self.accuracies) if len(self.accuracies) > 1 else None

    @property
    def teacher(self) -> str:
        """Who taught it; empty where nobody did."""
        return self.trainings[0].teacher

    def figure(self, name: str) -> Spread:
        """Another figure of the same tests, over the seeds."""
        return Spread.of(training.figures.get(name) for training in self.trainings)

    def of_class(self, name: str) -> Spread:
        """The figure of one class alone, over the seeds."""
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

    asked: Asked
    cases: tuple[Case, ...]

    @property
    def measure(self) -> str:
        """What the figure is called that cases are compared by."""
        return self.cases[0].trainings[0].measure

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
        named = tuple(case for case in self.cases if case.name == name)
        return named or tuple(case for case in self.cases if case.series == name)

    @property
    def baseline(self) -> Case | None:
        """The best of `baselines`."""
        return max(self.baselines, key=lambda case: case.mean, default=None)

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
        """The contender of greatest mean accuracy."""
        return max(self.contenders, key=lambda case: case.mean)


def read_sweep(path: Path, asked: Asked | None) -> Sweep | None:
    """The comparison in `sweep.json`, None where none was tested.

    Args:
        path: Of the file; it need not be there.
        asked: What the summary says of the comparison.

    Raises:
        RequestError: The file cannot be read.
    """
    rows = read_file(path, list[Training], [])
    latest = {(row.case, row.seed): row for row in rows}.values()
    names = dict.fromkeys(row.case for row in latest if row.accuracy is not None)
    cases = (_case(name, [row for row in latest if row.case == name]) for name in names)
    found = tuple(cases)
    return Sweep(asked or Asked(), found) if found else None


def read_curves(path: Path) -> tuple[Curve, ...]:
    """The responses in `curves.json`, none where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return tuple(read_file(path, Curves, Curves()).curves)


def read_angles(path: Path) -> tuple[Angle, ...]:
    """The lines of `angles.json` that hold an angle, none where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return tuple(angle for angle in read_file(path, list[Angle], []) if angle.angle_deg is not None)


def by_series(cases: Iterable[Case]) -> dict[str, list[Case]]:
    """Cases under the name of their series, in order of appearance; those with x by ascending x."""
    grouped: dict[str, list[Case]] = {}
    for case in cases:
        grouped.setdefault(case.series, []).append(case)
    return {series: sorted(found, key=lambda case: case.x or 0.0) for series, found in grouped.items()}


def ranked(sweep: Sweep | None, names: Iterable[str]) -> list[str]:
    """Names of cases in the order of the comparison; those that it does not have come last, in their own order."""
    ranks = {case.name: rank for rank, case in enumerate(sweep.cases)} if sweep else {}
    return sorted(dict.fromkeys(names), key=lambda name: ranks.get(name, len(ranks)))


def _case(name: str, rows: Sequence[Training]) -> Case:
    return Case(name, rows[0].series or name, rows[0].x, tuple(rows))


def _mean(values: Iterable[float | None]) -> float | None:
    return Spread.of(values).mean
