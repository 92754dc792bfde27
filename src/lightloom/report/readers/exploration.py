"""What an exploration says: `explore.json` and `sensitivity.json`, checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field

from lightloom.common.errors import RequestError
from lightloom.report.readers.schema_check import Amount, Fraction, Real, read_file

EXPLORE, SENSITIVITY = "explore.json", "sensitivity.json"


class Point(BaseModel):
    """One design: its settings, and what it reaches and takes."""

    id: str
    label: str = ""
    settings: dict[str, Any] = {}
    chip: str = ""
    technology: str = ""
    accuracy: Fraction = None
    """Mean over the specimens."""
    std: Amount = None
    low: Fraction = None
    """5th percentile."""
    accuracies: list[Fraction] = []
    good: Fraction = Field(None, alias="yield")
    """Share of specimens that reach the threshold."""
    energy_j: Amount = None
    latency_s: Amount = None
    throughput_per_s: Amount = None
    area_m2: Amount = None
    pareto: bool = False
    """Whether no other design is as good in every objective and better in one."""

    @property
    def name(self) -> str:
        """As it is called on the page."""
        return self.label or self.id

    @property
    def specimens(self) -> list[float]:
        """The accuracies that are known."""
        return [value for value in self.accuracies if value is not None]


class Failure(BaseModel):
    """A design that could not be measured, and why."""

    id: str = ""
    label: str = ""
    error: str = ""

    @property
    def name(self) -> str:
        """As it is called on the page."""
        return self.label or self.id


class Exploration(BaseModel):
    """The whole of `explore.json`."""

    source: str = ""
    network: str = ""
    electronic: Fraction = None
    threshold: Fraction = None
    """Accuracy that a specimen must reach to count as good."""
    specimens: int | None = None
    axes: list[str] = []
    objectives: list[str] = []
    boundary: str = ""
    points: list[Point] = []
    failed: list[Failure] = []
    notes: list[str] = []
    assumptions: list[str] = []

    @property
    def front(self) -> list[Point]:
        """The designs that no other one beats in every objective."""
        return [point for point in self.points if point.pareto]


class LayerDrop(BaseModel):
    """What putting one layer alone on the chip costs in accuracy."""

    name: str
    kind: str = ""
    drop: Real = None
    """Electronic accuracy less that with this layer on the chip; below 0 where it is better there."""
    std: Amount = None
    distance: Amount = None
    """Of the outputs from the electronic ones, relative."""
    share: Fraction = None
    """Of the multiply-accumulates of the network."""
    energy_share: Fraction = None
    """Of the energy of all layers on the chip."""


class Level(BaseModel):
    """The network with several layers on the chip, measured as a whole."""

    electronic: list[str] = []
    score: Real = None
    drop: Real = None
    std: Amount = None


class Sensitivity(BaseModel):
    """The whole of `sensitivity.json`; `proposal` names layers to leave electronic."""

    source: str = ""
    chip: str = ""
    network: str = ""
    measure: str = "accuracy"
    """Any other is a score of the user's, in units of its own."""
    electronic: Real = None
    budget: Amount = None
    """Drop that is put up with."""
    specimens: int | None = None
    rows: list[LayerDrop] = []
    proposal: list[str] = []
    whole: Level = Level()
    """Every layer on the chip."""
    proposed: Level = Level()
    assumptions: list[str] = []

    @property
    def of_accuracy(self) -> bool:
        """Whether what is lost is in points of accuracy."""
        return self.measure == "accuracy"


def read_exploration(folder: Path) -> Exploration:
    """The exploration in a folder, an empty one where it holds a scan of layers alone.

    Raises:
        RequestError: It has neither, or an unreadable one.
    """
    path = folder / EXPLORE
    if not path.is_file() and not (folder / SENSITIVITY).is_file():
        raise RequestError(
            f"`{folder}` holds no `{EXPLORE}` and no `{SENSITIVITY}`. Name the folder that `lightloom explore` printed."
        )
    return read_file(path, Exploration, Exploration())


def read_sensitivity(folder: Path) -> Sensitivity:
    """The scan of layers in a folder, an empty one where there is none.

    Raises:
        RequestError: It cannot be read.
    """
    return read_file(folder / SENSITIVITY, Sensitivity, Sensitivity())
