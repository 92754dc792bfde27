"""A metric by its own name, and what `evaluation.json` says of every state of a network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import Field, model_validator

from lightloom.schemas.base import Finite, Real, Record

ACCURACY = "accuracy"
_Key = TypeVar("_Key")


class Metric(Record):
    """What a metric is called, how it is written, and which way it is better."""

    name: str = Field(min_length=1)
    """The metric's own name, such as `accuracy`, `AP`, `NDS` or `bits_per_character`."""
    percent: bool = True
    """Whether a value is a fraction, 0 ... 1, that is written in percent."""
    unit: str = ""
    """The unit that stands behind a value that is no percentage; empty for a plain number."""
    higher_is_better: bool = True
    """Whether a greater value is the better one."""
    chance: Real = None
    """The value that a blind guess reaches, where it is known."""

    @model_validator(mode="before")
    @classmethod
    def _from_its_name(cls, content: Any) -> Any:
        return {"name": content} if isinstance(content, str) else content

    @property
    def words(self) -> str:
        """The name as it stands in a sentence: without underscores."""
        return self.name.replace("_", " ")

    def gain(self, before: float, after: float) -> float:
        """How much better a value became; below 0 where it became worse.

        Args:
            before: The earlier value.
            after: The later value.
        """
        return after - before if self.higher_is_better else before - after

    def best(self, values: Mapping[_Key, float]) -> _Key:
        """The key of the best value.

        Args:
            values: At least one value by any key.
        """
        return (max if self.higher_is_better else min)(values, key=lambda key: values[key])


_FRACTIONS = (
    "AP",
    "AP50",
    "AP75",
    "APs",
    "APm",
    "APl",
    "AR",
    "AR1",
    "AR10",
    "AR100",
    "ARs",
    "ARm",
    "ARl",
    "NDS",
    "mAP",
)
_ERRORS = {"loss": "", "mATE": "m", "mASE": "", "mAOE": "rad", "mAVE": "m/s", "mAAE": ""}
_PUBLISHED = {
    **{name: Metric(name=name) for name in (ACCURACY, *_FRACTIONS)},
    **{name: Metric(name=name, percent=False, unit=unit, higher_is_better=False) for name, unit in _ERRORS.items()},
}


def describe(name: str, stated: Iterable[Metric] = ()) -> Metric:
    """How a metric is written and which way it is better.

    Args:
        name: The metric's own name.
        stated: What the file says of its metrics; one that it does not name is looked up among those of COCO and
            nuScenes, and is a plain number otherwise.
    """
    for metric in stated:
        if metric.name == name:
            return metric
    return _PUBLISHED.get(name, Metric(name=name, percent=False))


def check_range(values: Mapping[str, float | None], stated: Iterable[Metric]) -> None:
    """Refuse a fraction that is none. Raises `ValueError`, which names the metric.

    Args:
        values: Value by metric; None is not known.
        stated: What the file says of its metrics.
    """
    stated = tuple(stated)
    for name, value in values.items():
        if value is not None and describe(name, stated).percent and not 0 <= value <= 1:
            raise ValueError(f"`{name}` is {value:g}; it is a fraction, 0 ... 1")


class Evaluation(Record):
    """The whole of `evaluation.json`: every metric of every state, on the test data."""

    metric: Metric
    """The primary metric of the task: the one that states are compared by."""
    others: list[Metric] = []
    """How the other metrics are written; of one that is not named here see `describe`."""
    states: dict[str, dict[str, Finite]]
    """Value by metric, by state of the network (electronic, programmed, ...), in the order of the stages."""

    @model_validator(mode="before")
    @classmethod
    def _of_an_earlier_version(cls, content: Any) -> Any:
        """Take a file that knew accuracy alone."""
        if isinstance(content, Mapping) and "metric" not in content and "chance" in content:
            content = dict(content)
            return content | {"metric": {"name": ACCURACY, "chance": content.pop("chance")}}
        return content

    @model_validator(mode="after")
    def _has_the_primary_metric(self) -> Evaluation:
        for state, values in self.states.items():
            if self.metric.name not in values:
                raise ValueError(f"the state `{state}` lacks the metric `{self.metric.name}`; it has {sorted(values)}")
            check_range(values, (self.metric, *self.others))
        return self

    @property
    def values(self) -> dict[str, float]:
        """The primary metric by state."""
        return {state: values[self.metric.name] for state, values in self.states.items()}
