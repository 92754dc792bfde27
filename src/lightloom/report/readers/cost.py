"""What a run folder says of the cost of one inference: `cost.json`, checked."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, BeforeValidator

from lightloom.report.readers.schema_check import Amount, Real


def _absent_as_empty(value: object) -> object:
    return "" if value is None else value


Text = Annotated[str, BeforeValidator(_absent_as_empty)]


class Boundary(BaseModel):
    """What is counted, and what it comes to per inference."""

    name: str
    includes: str = ""
    energy_j: Amount = None
    latency_s: Amount = None


class LayerCost(BaseModel):
    """The share of one layer in the cost of one inference."""

    name: str
    calls: int | None = None
    cores: int | None = None
    mzis: int | None = None
    cells: int | None = None
    energy_j: Amount = None
    latency_s: Amount = None


class Constant(BaseModel):
    """A number that the cost rests on, where it is from, and how far it is to be trusted."""

    name: str
    chip: Text = ""
    value: float | str | None = None
    unit: str = ""
    source: Text = ""
    doi: Text = ""
    status: Text = ""
    confidence: Text = ""


class Step(BaseModel):
    """One step of the light: what takes it, how much, and what is left behind it in dBm per channel."""

    what: str
    loss_db: Real = None
    """Below 0 where light from several ways adds up."""
    level_dbm: Real = None


class LinkBudget(BaseModel):
    """The light of one chip from laser to detector."""

    chip: Text = ""
    channels: Amount = None
    """Of one core: the walk is that of one of them."""
    laser_w: Amount = None
    """Light for one core."""
    laser_electrical_w: Amount = None
    total_laser_w: Amount = None
    """Electricity for all cores that have light at the same time."""
    cores_lit: Amount = None
    bits: Amount = None
    bits_factor: Amount = None
    """How much more light the levels of the output ask for, 1 where that is not counted."""
    laser_w_with_levels: Amount = None
    laser_w_without_levels: Amount = None
    sensitivity_dbm: Real = None
    steps: list[Step] = []


class Schedule(BaseModel):
    """What one inference takes where one operand stays in place."""

    energy_j: Amount = None
    latency_s: Amount = None
    throughput_per_s: Amount = None
    reconfigurations: Amount = None


class Reconfiguration(BaseModel):
    """Writing new weights onto the chip, for one inference."""

    times: Amount = None
    time_s: Amount = None
    energy_j: Amount = None


class Memory(BaseModel):
    """Traffic of one inference, by memory."""

    bytes: dict[str, Amount] = {}
    contents: dict[str, Amount] = {}
    """Bytes by what they are."""
    energy_j: dict[str, Amount] = {}


class Electronics(BaseModel):
    """What is computed beside the chip."""

    macs: Amount = None
    energy_j: Amount = None
    memory_j: Amount = None
    latency_s: Amount = None
    profile: Text = ""


class Reference(BaseModel):
    """The whole network on an electronic processor; ratios are of it over the chip."""

    name: str
    energy_j: Amount = None
    latency_s: Amount = None
    ratio_energy: Amount = None
    ratio_latency: Amount = None


class Cost(BaseModel):
    """The whole of `cost.json`; boundaries go from the narrowest to the widest."""

    boundaries: list[Boundary] = []
    parts: dict[str, Amount] = {}
    layers: list[LayerCost] = []
    counts: dict[str, Amount] = {}
    constants: list[Constant] = []
    assumptions: list[str] = []
    throughput_per_s: Amount = None
    area: dict[str, Amount] = {}
    area_m2: Amount = None
    power_w: Amount = None
    tops: Amount = None
    tops_per_w: Amount = None
    efficiency: dict[str, Amount] = {}
    """TOPS/W by boundary."""
    schedule: Text = ""
    """Name of the one that the figures above are of."""
    schedules: dict[str, Schedule] = {}
    link_budget: list[LinkBudget] = []
    reconfiguration: Reconfiguration = Reconfiguration()
    memory: Memory = Memory()
    converters: dict[str, Amount] = {}
    """Conversions of one inference."""
    electronics: Electronics = Electronics()
    references: list[Reference] = []
