"""A metric by its own name, and what `evaluation.json` says of every state of a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from lightloom.schemas.base import Finite, Real, Record

ACCURACY = "accuracy"


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

    def best(self, values: Mapping[str, float]) -> str:
        """The key of the best value.

        Args:
            values: At least one value by any key.
        """
        return (max if self.higher_is_better else min)(values, key=lambda key: values[key])


class Evaluation(Record):
    """The whole of `evaluation.json`: every metric of every state, on the test data."""

    metric: Metric
    """The primary metric of the task: the one that states are compared by."""
    others: list[Metric] = []
    """How the other metrics are written; one that is not named here is a plain number."""
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
        return self

    @property
    def values(self) -> dict[str, float]:
        """The primary metric by state."""
        return {state: values[self.metric.name] for state, values in self.states.items()}
