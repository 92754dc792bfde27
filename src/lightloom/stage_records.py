"""What the stages of a run read back of what others wrote: the fields that they need, as schemas."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, Field

Fraction = Annotated[float, Field(ge=0, le=1)]
Amount = Annotated[float, Field(ge=0)]


class SweepRow(BaseModel):
    """One training in `sweep.json`."""

    case: str
    seed: int
    metric: str
    metrics: dict[str, float | None]


class AngleRow(BaseModel):
    """One measured gradient in `angles.json`."""

    case: str
    x: float | None
    seed: int
    epoch: int


class BenchState(BaseModel):
    """What one stage took on the bench, in `bench.json` by the state that it left."""

    calls: int = Field(ge=0)
    instruments: list[dict[str, Any]]


class MetricRecord(BaseModel):
    """The primary metric of a run, in `evaluation.json`."""

    name: str
    higher_is_better: bool
    percent: bool
    chance: Fraction | None


class Evaluation(BaseModel):
    """The whole of `evaluation.json`."""

    metric: MetricRecord
    states: dict[str, dict[str, float | None]]


class Boundary(BaseModel):
    """One boundary in `cost.json`."""

    name: str
    energy_j: Amount
    latency_s: Amount


class Counts(BaseModel):
    """Of one inference, in `cost.json`."""

    calls: int = Field(ge=0)


class Priced(BaseModel):
    """What a summary takes from `cost.json`."""

    boundaries: list[Boundary] = Field(min_length=1)
    counts: Counts
    learning: dict[str, Any] = {}


class LayerRow(BaseModel):
    """One layer in `layers.json`."""

    name: str
    errors: dict[str, float]
