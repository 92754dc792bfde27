"""What a run says of itself in short: `summary.json`, `metrics.jsonl` and `bench.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import ConfigDict, Field, model_validator

from lightloom.schemas.base import Amount, Count, Real, Record
from lightloom.schemas.metric import ACCURACY, Metric, check_range
from lightloom.schemas.sweep import SweepSummary


def _is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class LearningTotals(Record):
    """What learning on the chip took."""

    model_config = ConfigDict(extra="allow")

    chip_calls: Amount = None
    """Evaluations of a core."""
    steps: Amount = None
    """Time steps, in which all cores work side by side."""
    energy_j: Amount = None
    """Energy in J."""
    time_s: Amount = None
    """Time in s."""


class Summary(Record):
    """The whole of `summary.json`."""

    recipe: str = ""
    """Name of the recipe."""
    seed: int | None = None
    """Seed of the run."""
    overrides: list[str] = []
    """Settings that differ from the recipe's, as `key=value`."""
    task: str = ""
    """Name of the task."""
    metric: Metric | None = None
    """The primary metric of the task, None where nothing was evaluated."""
    values: dict[str, Real] = {}
    """The primary metric by state of the network in order, or by case where the run compares cases."""
    sweep: SweepSummary | None = None
    """What was compared, None where the run compares nothing."""
    bench_calls: dict[str, Amount] = {}
    """Calls that calibration and mapping took, by the state they left; one measures all blocks side by side."""
    chip_calls: Amount = None
    """Evaluations of a core in one inference."""
    energy_j: Amount = None
    """Energy of one inference in J, within `boundary`."""
    latency_s: Amount = None
    """Latency of one inference in s, within `boundary`."""
    boundary: str = ""
    """Name of the widest boundary of the cost."""
    learning: LearningTotals = LearningTotals()
    """What learning on the chip took."""
    seconds: dict[str, Amount] = {}
    """Wall time in s by stage."""
    run: str = ""
    """Path of the run folder."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, content: Any) -> Any:
        """Take a file that called every primary metric an accuracy."""
        if not isinstance(content, Mapping) or "accuracy" not in content or "values" in content:
            return content
        summary = dict(content)
        metric = {"name": ACCURACY, "chance": summary.pop("chance", None)}
        return {"metric": metric, "values": summary.pop("accuracy")} | summary

    @model_validator(mode="after")
    def _fractions_are_fractions(self) -> Summary:
        if self.metric is not None:
            for value in self.values.values():
                check_range({self.metric.name: value}, (self.metric,))
        return self


class EpochRow(Record):
    """One line of `metrics.jsonl`; a line may hold more metrics than these."""

    model_config = ConfigDict(extra="allow")

    stage: str
    """Name of the stage, or of the training in a comparison."""
    epoch: int
    """Epoch, from 1."""
    loss: Real = None
    """Mean loss on the training data."""
    validation_loss: Real = None
    """Mean loss on the validation data."""
    validation_writes: Amount = None
    """Levels that one inference writes, on a chip that writes its cells."""

    def primary(self, name: str) -> float | None:
        """The primary metric on the validation data.

        Args:
            name: Its name; a file of an earlier version calls every primary metric an accuracy.
        """
        values = self.validation
        return values.get(name, values.get(ACCURACY))

    @property
    def validation(self) -> dict[str, float]:
        """Every metric on the validation data but the loss and the writes, by its own name."""
        prefix = "validation_"
        extra = self.model_extra or {}
        return {
            key.removeprefix(prefix): value
            for key, value in extra.items()
            if key.startswith(prefix) and _is_finite(value)
        }


StageSeconds = dict[str, Count]
"""The whole of `stages.json`: wall time in s of each stage that is done, in the order in which they finished."""


class BenchStage(Record):
    """What one stage took on the bench, in `bench.json` by the state that it left."""

    calls: int = Field(ge=0)
    """Calls of all instruments."""
    instruments: list[dict[str, Any]]
    """What was measured of each layer; which keys there are depends on the technology."""
