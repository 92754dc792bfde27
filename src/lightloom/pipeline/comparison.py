"""Comparisons: the trainings that a config asks for, and what came of them."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.config import Case, RunConfig, SweepConfig, override
from lightloom.schemas import SweepCase, SweepRow, SweepSummary

_OF_THE_WHOLE = ("recipe", "changes", "seed", "device", "threads", "task", "stages", "sweep")


class Training(NamedTuple):
    """One case with one seed."""

    case: Case
    seed: int
    config: Any
    """A `RunConfig` of the task of the run."""

    @property
    def name(self) -> str:
        """Name of the training, as in `metrics.jsonl`."""
        return f"{self.case.name}, seed {self.seed}"

    @property
    def noise_seed(self) -> int:
        """Seed of the noise under which the case is measured."""
        return named_seed(self.seed, self.name, "test")

    @property
    def key(self) -> tuple[str, int]:
        """What tells the training from the others."""
        return self.case.name, self.seed


def trainings(config: RunConfig) -> list[Training]:
    """Every case with every seed: all cases with the first seed, then with the next.

    Raises:
        RequestError: There is no case, or the changes of one do not fit; the case is named.
    """
    if not config.sweep.cases:
        raise RequestError("There is nothing to compare: `sweep.cases` is empty. See `lightloom recipes` for some.")
    plain = config.replace(sweep=SweepConfig())
    cases = [(case, _changed(plain, case)) for case in config.sweep.cases]
    seeds = range(config.seed, config.seed + config.sweep.seeds)
    return [Training(case, seed, own.replace(seed=seed)) for seed in seeds for case, own in cases]


def first_trainings(config: RunConfig) -> list[Training]:
    """Every case with the first seed alone."""
    return trainings(config)[: len(config.sweep.cases)]


def overruled(config: RunConfig) -> Iterator[str]:
    """One notice for each change of the user's that some cases do not take, since they set the same themselves."""
    for key in dict.fromkeys(change.partition("=")[0] for change in config.changes):
        cases = [case.name for case in config.sweep.cases if any(_covers(change, key) for change in case.changes)]
        if cases:
            names = ", ".join(f"`{name}`" for name in cases)
            yield f"`{key}` has no effect where a case sets it itself: {names}."


def _covers(change: str, key: str) -> bool:
    own = change.partition("=")[0]
    return key == own or key.startswith(f"{own}.") or own.startswith(f"{key}.")


def _changed(config: RunConfig, case: Case) -> RunConfig:
    for change in case.changes:
        key = change.partition("=")[0].partition(".")[0]
        if key in _OF_THE_WHOLE:
            raise RequestError(
                f"The case `{case.name}` of the comparison changes `{key}`, which all cases share; "
                "change it for the run."
            )
    try:
        return override(config, case.changes)
    except RequestError as error:
        raise RequestError(f"The case `{case.name}` of the comparison: {error}") from None


def summarise(rows: Sequence[SweepRow], sweep: SweepConfig) -> SweepSummary:
    """What a comparison has found so far, for `summary.json`.

    Args:
        rows: As in `sweep.json`.
        sweep: What was asked for.

    Returns:
        Mean and standard deviation (of the sample; 0 for one seed) of the primary metric on the test set for each case,
        in its order.
    """
    cases = list(_by_case(rows, [case.name for case in sweep.cases]))
    return SweepSummary(x=sweep.x, scale=sweep.scale, baseline=sweep.baseline, cases=cases)


def _by_case(rows: Sequence[SweepRow], names: Sequence[str]) -> Iterator[SweepCase]:
    for name in names:
        values = [row.value for row in rows if row.case == name and row.value is not None]
        if values:
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            yield SweepCase(case=name, value=statistics.fmean(values), std=spread, seeds=len(values))
