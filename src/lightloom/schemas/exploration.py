"""What an exploration of designs finds: `explore.json` and `sensitivity.json`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from lightloom.schemas.base import Amount, Fraction, Real, Record


class DesignRow(Record):
    """One design: its settings, and what it reaches and takes."""

    id: str
    """Identifier of the design, from its settings."""
    label: str = ""
    """Name of the design in words."""
    settings: dict[str, Any] = {}
    """Value of each axis."""
    network: str = ""
    """Name of its network."""
    chip: str = ""
    """Name of its chip."""
    technology: str = ""
    """Technology of its chip."""
    accuracy: Fraction = None
    """Accuracy, mean over the specimens."""
    std: Amount = None
    """Standard deviation of the accuracy over the specimens."""
    low: Fraction = None
    """The 5th percentile of the accuracy over the specimens."""
    accuracies: list[Fraction] = []
    """Accuracy of each specimen."""
    good: Fraction = Field(None, alias="yield")
    """Share of specimens that reach the threshold."""
    energy_j: Amount = None
    """Energy of one inference in J."""
    latency_s: Amount = None
    """Latency of one inference in s."""
    throughput_per_s: Amount = None
    """Inferences per second."""
    area_m2: Amount = None
    """Area of the chip in m^2."""
    pareto: bool = False
    """Whether no other design is as good in every objective and better in one."""

    @property
    def name(self) -> str:
        """The name of the design on the page."""
        return self.label or self.id

    @property
    def specimens(self) -> list[float]:
        """The accuracies that are known."""
        return [value for value in self.accuracies if value is not None]


class FailedDesign(Record):
    """A design that could not be measured, and why."""

    id: str = ""
    """Identifier of the design."""
    label: str = ""
    """Name of the design in words."""
    error: str = ""
    """Why it could not be measured."""
    settings: dict[str, Any] = {}
    """Value of each axis."""
    network: str = ""
    """Name of its network."""
    chip: str = ""
    """Name of its chip."""
    technology: str = ""
    """Technology of its chip."""

    @property
    def name(self) -> str:
        """The name of the design on the page."""
        return self.label or self.id


class Exploration(Record):
    """The whole of `explore.json`."""

    source: str = ""
    """Run or checkpoint that was explored."""
    network: str = ""
    """Name of the network."""
    electronic: Fraction = None
    """Accuracy in electronics, of the best network."""
    networks: dict[str, Fraction] = {}
    """Accuracy of every network in electronics."""
    seed: int | None = None
    """Seed of the first specimen."""
    threshold: Fraction = None
    """Accuracy that a specimen must reach to count as good."""
    specimens: int | None = None
    """Specimens of each design."""
    axes: list[str] = []
    """Settings that were varied."""
    objectives: list[str] = []
    """What designs are compared by."""
    boundary: str = ""
    """Boundary of the energy and the latency."""
    points: list[DesignRow] = []
    """Designs that were measured."""
    failed: list[FailedDesign] = []
    """Designs that could not be measured."""
    notes: list[str] = []
    """What a reader should know, a sentence each."""
    assumptions: list[str] = []
    """What the cost assumes, a sentence each."""

    @property
    def front(self) -> list[DesignRow]:
        """The designs that no other one beats in every objective."""
        return [point for point in self.points if point.pareto]


class LayerDrop(Record):
    """What putting one layer alone on the chip costs in accuracy."""

    name: str
    """Name of the layer."""
    kind: str = ""
    """Class of the layer."""
    score: Real = None
    """Score with this layer alone on the chip, mean over the specimens."""
    drop: Real = None
    """Score in electronics less that with this layer on the chip; below 0 where it is better there."""
    std: Amount = None
    """Standard deviation of the drop over the specimens."""
    distance: Amount = None
    """Relative distance of the outputs from the electronic ones."""
    share: Fraction = None
    """Share of the multiply-accumulates of the network."""
    energy_share: Fraction = None
    """Share of the energy of all layers on the chip."""


class PlacedNetwork(Record):
    """The network with several layers on the chip, measured as a whole."""

    electronic: list[str] = []
    """Layers that stay electronic."""
    score: Real = None
    """Score, mean over the specimens."""
    drop: Real = None
    """Score in electronics less that score."""
    std: Amount = None
    """Standard deviation of the score over the specimens."""


class Sensitivity(Record):
    """The whole of `sensitivity.json`."""

    source: str = ""
    """Run or checkpoint that was scanned."""
    chip: str = ""
    """Name of the chip."""
    network: str = ""
    """Name of the network."""
    measure: str = "accuracy"
    """Name of the score; any but `accuracy` is the user's, in units of its own."""
    electronic: Real = None
    """Score in electronics."""
    budget: Amount = None
    """Drop that is put up with."""
    specimens: int | None = None
    """Specimens of each layer."""
    rows: list[LayerDrop] = []
    """What each layer alone costs."""
    proposal: list[str] = []
    """Layers that should stay electronic."""
    whole: PlacedNetwork = PlacedNetwork()
    """The network with every layer on the chip."""
    proposed: PlacedNetwork = PlacedNetwork()
    """The network with the proposed layers in electronics."""
    assumptions: list[str] = []
    """What the scan assumes, a sentence each."""

    @property
    def of_accuracy(self) -> bool:
        """Whether what is lost is in points of accuracy."""
        return self.measure == "accuracy"
