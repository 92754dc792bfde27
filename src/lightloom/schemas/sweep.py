"""What a comparison leaves: `sweep.json`, `curves.json` and `angles.json`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from lightloom.schemas.base import Amount, Degrees, Finite, Real, Record
from lightloom.schemas.metric import ACCURACY, Metric, check_range

# COCO writes -1 where there is nothing to find
_without_absent = BeforeValidator(lambda value: None if value == -1 else value)
Value = Annotated[Real, _without_absent]


class SweepRow(Record):
    """One line of `sweep.json`: one case, trained with one seed and tested."""

    case: str
    """Name of the case."""
    series: str = ""
    """Name of the line that the case is a point of; empty where it is the case alone."""
    x: Real = None
    """Value of what is varied, None for a case that stands for a level."""
    seed: int = 0
    """Seed of the training."""
    metric: Metric = Metric(name=ACCURACY)
    """The primary metric, which cases are compared by; its name alone will do."""
    metrics: dict[str, Value] = {}
    """Value of every metric on the test data, by name; the primary one is among them."""
    others: list[Metric] = []
    """How the metrics beside the primary one are written; of one that is not named here see `schemas.describe`."""
    per_class: dict[str, Value] = {}
    """The primary metric, or what it averages, for each class alone."""
    teacher: str = ""
    """The case, or the run, that this one was distilled from; empty where there was no teacher."""
    loss: Real = None
    """Mean loss on the test data, where the task reports it."""
    validation: Real = None
    """Best value of the primary metric on the validation data."""
    epochs: int | None = None
    """Epochs of the training."""
    best_epoch: int | None = None
    """Epoch whose weights were kept."""
    seconds: Amount = None
    """Wall time of the training, in s."""
    parameters: int | None = None
    """Parameters that were trained."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, content: Any) -> Any:
        """Take a row that called every primary metric an accuracy."""
        if not isinstance(content, Mapping) or "metrics" in content or not {"accuracy", "figures"} & content.keys():
            return content
        row = dict(content)
        value, name = row.pop("accuracy", None), row.pop("measure", ACCURACY)
        figures = row.pop("figures", {})
        return row | {"metric": name, "metrics": {**figures, name: value} if isinstance(figures, Mapping) else figures}

    @model_validator(mode="after")
    def _fractions_are_fractions(self) -> SweepRow:
        check_range(self.metrics, (self.metric, *self.others))
        return self

    @property
    def value(self) -> float | None:
        """The primary metric, None where the test found none."""
        return self.metrics.get(self.metric.name)

    @property
    def stage(self) -> str:
        """The name of the training in `metrics.jsonl`."""
        return f"{self.case}, seed {self.seed}"


class SweepCase(Record):
    """What a comparison has found of one case, in `summary.json`."""

    case: str
    """Name of the case."""
    value: Real = None
    """Primary metric, mean over the seeds."""
    std: Amount = None
    """Standard deviation of the metric over the seeds, of the sample; 0 for one seed."""
    seeds: int = 1
    """Seeds that were trained."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, content: Any) -> Any:
        if isinstance(content, Mapping) and "accuracy" in content and "value" not in content:
            content = dict(content)
            return content | {"value": content.pop("accuracy")}
        return content


class SweepSummary(Record):
    """What a comparison set out to compare, and what came of it so far, in `summary.json`."""

    x: str = ""
    """Name of what is varied."""
    scale: Literal["linear", "log"] = "linear"
    """How the axis of what is varied goes."""
    baseline: str | None = None
    """The case that the others are held against, or a series of such cases."""
    cases: list[SweepCase] = []
    """The cases that were tested, in the order of the comparison."""


class ResponseCurve(Record):
    """The response of one absorber: its output, the exact derivative, and what a probe sees, at each input."""

    name: str
    """Name of the absorber."""
    encoding: Literal["amplitude", "intensity"] = "amplitude"
    """Whether input and output are fields or intensities."""
    x: list[Finite] = Field(min_length=2)
    """Inputs, ascending."""
    output: list[Finite]
    """Output at each input."""
    exact: list[Finite]
    """Derivative of the output at each input."""
    probe: list[Finite]
    """The derivative that a weak probe beam measures at each input."""

    @model_validator(mode="after")
    def _is_a_function(self) -> ResponseCurve:
        lengths = {name: len(getattr(self, name)) for name in ("x", "output", "exact", "probe")}
        if len(set(lengths.values())) > 1:
            sizes = ", ".join(f"{length} in `{name}`" for name, length in lengths.items())
            raise ValueError(f"a curve has one value for each x; found {sizes}")
        if any(after <= before for before, after in pairwise(self.x)):
            raise ValueError("the x of a curve ascend; found one that does not")
        return self


class ResponseCurves(Record):
    """The whole of `curves.json`."""

    curves: list[ResponseCurve] = []
    """One curve for each absorber of a comparison."""


class GradientAngle(Record):
    """One line of `angles.json`: how far the gradient of one layer is from the exact one."""

    case: str
    """Name of the case."""
    x: Real = None
    """Value of what is varied, None where the case has none."""
    seed: int = 0
    """Seed of the training."""
    epoch: int
    """Epoch before which the gradient was measured."""
    kind: str = "probe"
    """How the gradient was measured: `probe` or `light`."""
    layer: str
    """Name of the layer."""
    angle_deg: Degrees = None
    """Angle between the gradients in degrees, None where one of them is zero."""
    cosine: Real = None
    """Cosine of that angle, 0 where one of the gradients is zero."""
    norm_ratio: Amount = None
    """Norm of the measured gradient over that of the exact one."""
