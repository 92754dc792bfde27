"""What a chip with cells writes in each inference: `writes.json`."""

from __future__ import annotations

from pydantic import Field

from lightloom.schemas.base import Amount, Count, Record


class LayerWrites(Record):
    """What one inference writes in one layer."""

    name: str
    """Name of the layer."""
    arrays: int | None = None
    """Arrays that hold the layer at the same time."""
    turns: int | None = None
    """Rounds in which its blocks are written."""
    weights: int | None = None
    """Weights of the layer."""
    levels: Count
    """Levels that are written."""
    pulses: Amount = None
    """Pulses on all cells together."""
    energy_j: Amount = None
    """Energy of writing in J."""
    latency_s: Amount = None
    """Time of writing in s."""
    worst_cell: Count
    """Pulses on the cell that is written most."""
    worst_pair: Amount = None
    """Levels on the pair of cells that is written most; the published figure."""


class WritesCase(Record):
    """What one inference writes in one state of the network and one order of the rounds."""

    state: str
    """State of the network."""
    order: str
    """Order in which blocks are written."""
    levels: Count
    """Levels that are written."""
    energy_j: Amount = None
    """Energy of writing in J."""
    latency_s: Amount = None
    """Time of writing in s."""
    worst_cell: Count
    """Pulses on the cell that is written most."""
    worst_pair: Amount = None
    """Levels on the pair of cells that is written most."""
    first_failure: Amount
    """Inferences until the first cell fails, None where none ever does."""
    first_failure_years: Amount = None
    """The same in years at the rate of the run."""
    one_percent_failed: Amount
    """Inferences until one percent of the cells has failed, None where that never is."""
    cells_failed: int | None = Field(None, ge=0)
    """Cells that fail within the inferences that the chip is to serve."""
    fails_meanwhile: bool | None = None
    """Whether a cell fails within them."""
    layers: list[LayerWrites] = []
    """The same of each layer."""

    @property
    def name(self) -> str:
        """The name of the case on the page."""
        return f"{self.state}, {self.order}"


class WritesFile(Record):
    """The whole of `writes.json`; the first case is before, the last one after."""

    chip: str = ""
    """Name of the chip."""
    cases: list[WritesCase] = Field(min_length=1)
    """States of the network and orders of writing."""
    rate_hz: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Inferences per second."""
    inferences: Count = 0.0
    """Inferences that the chip is to serve; 0 where nobody asked."""
    index_bits: Amount = None
    """Bits that store the orders."""
    weight_bits: Amount = None
    """Bits that store the weights."""

    @property
    def first(self) -> WritesCase:
        """The case before anything was done about the writes."""
        return self.cases[0]

    @property
    def last(self) -> WritesCase:
        """The case after everything was done."""
        return self.cases[-1]
