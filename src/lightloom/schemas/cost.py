"""The cost of one inference: `cost.json`."""

from __future__ import annotations

from typing import Any

from lightloom.schemas.base import Amount, Real, Record, Text
from lightloom.schemas.summary import LearningTotals


class Boundary(Record):
    """What is counted, and what it comes to for one inference."""

    name: str
    """Name of the boundary."""
    includes: str = ""
    """What it counts, in words."""
    energy_j: Amount = None
    """Energy within it in J."""
    latency_s: Amount = None
    """Latency within it in s."""


class LayerCost(Record):
    """The share of one layer in the cost of one inference."""

    name: str
    """Name of the layer."""
    calls: int | None = None
    """Evaluations of one core."""
    cores: int | None = None
    """Cores that work on the layer at the same time."""
    mzis: int | None = None
    """MZIs in these cores."""
    cells: int | None = None
    """Cells in these cores that hold a weight."""
    devices: dict[str, float] = {}
    """Devices in these cores by kind, where the technology counts others than MZIs and cells."""
    energy_j: Amount = None
    """Energy in J within the widest boundary, without the electronics around the layer."""
    latency_s: Amount = None
    """Latency in s."""
    chip: str = ""
    """Name of the chip that the layer is on."""
    tied_to: str = ""
    """The layer whose weights it uses."""
    vectors: int = 0
    """Vectors that the layer multiplies."""
    macs: int = 0
    """Multiply-accumulates of the layer."""
    rounds: int = 0
    """Times that work is handed out to the cores, per batch."""
    reconfigurations: Amount = 0.0
    """Tiles that are set."""
    reconfiguration_s: Amount = 0.0
    """The part of the latency in s in which they are set."""
    parts: dict[str, Amount] = {}
    """Energy in J by kind of device."""

    @property
    def counts(self) -> dict[str, float]:
        """Devices by the name of their kind; kinds of which there are none are left out."""
        numbers = {"MZIs": self.mzis, "Cells": self.cells, **self.devices}
        return {kind: number for kind, number in numbers.items() if number}


class Constant(Record):
    """A number that the cost rests on, where it is from, and how far it is to be trusted."""

    name: str
    """What the number is of."""
    chip: Text = ""
    """Name of the chip that it belongs to."""
    value: float | str | None = None
    """The number, in `unit`."""
    unit: str = ""
    """Unit of the number."""
    source: Text = ""
    """Publication that it is from."""
    doi: Text = ""
    """Digital object identifier of that publication."""
    status: Text = ""
    """Whether the number is reported, derived or assumed."""
    confidence: Text = ""
    """How far it is to be trusted, from A to C."""


class LinkStep(Record):
    """One step of the light from laser to detector."""

    what: str
    """What the light passes."""
    loss_db: Real = None
    """Loss in dB; below 0 where light from several paths adds up."""
    level_dbm: Real = None
    """Power of one channel behind the step, in dBm."""


class LinkBudget(Record):
    """The light of one chip from laser to detector."""

    chip: Text = ""
    """Name of the chip."""
    technology: Text = ""
    """Technology of the chip."""
    channels: Amount = None
    """Channels of one core; the steps are those of one of them."""
    laser_w: Amount = None
    """Light for one core in W."""
    laser_electrical_w: Amount = None
    """Electricity for the light of one core in W."""
    total_laser_w: Amount = None
    """Electricity in W for all cores that have light at the same time."""
    cores_lit: Amount = None
    """Cores that have light at the same time."""
    bits: Amount = None
    """Bits of an output."""
    bits_factor: Amount = None
    """How much more light the levels of the output ask for, 1 where that is not counted."""
    laser_w_with_levels: Amount = None
    """Light for one core in W where the levels of the output are counted."""
    laser_w_without_levels: Amount = None
    """Light for one core in W where they are not counted."""
    sensitivity_dbm: Real = None
    """Power that the detector needs, in dBm."""
    steps: list[LinkStep] = []
    """Steps in the order of the light."""


class Schedule(Record):
    """What one inference takes where one operand stays in place."""

    energy_j: Amount = None
    """Energy in J."""
    latency_s: Amount = None
    """Latency in s."""
    throughput_per_s: Amount = None
    """Inferences per second."""
    reconfigurations: Amount = None
    """Tiles that are set."""


class Reconfiguration(Record):
    """Writing new weights onto the chip, for one inference."""

    times: Amount = None
    """Tiles that are set."""
    time_s: Amount = None
    """Time in s in which they are set."""
    energy_j: Amount = None
    """Energy in J, with what holds the settings meanwhile."""


class Memory(Record):
    """Traffic of one inference."""

    bytes: dict[str, Amount] = {}
    """Bytes by memory."""
    contents: dict[str, Amount] = {}
    """Bytes by what they are."""
    energy_j: dict[str, Amount] = {}
    """Energy in J by memory."""


class Electronics(Record):
    """What is computed beside the chip."""

    macs: Amount = None
    """Multiply-accumulates."""
    values: Amount = None
    """Results that are computed otherwise, such as those of activations."""
    energy_j: Amount = None
    """Energy in J."""
    memory_j: Amount = None
    """Energy of its memory in J."""
    latency_s: Amount = None
    """Latency in s."""
    profile: Text = ""
    """Name of the processor."""


class Reference(Record):
    """The whole network on an electronic processor."""

    name: str
    """Name of the processor."""
    energy_j: Amount = None
    """Energy of one inference in J."""
    latency_s: Amount = None
    """Latency of one inference in s."""
    ratio_energy: Amount = None
    """Energy of the reference over that of the chip."""
    ratio_latency: Amount = None
    """Latency of the reference over that of the chip."""


class CostFile(Record):
    """The whole of `cost.json`: what one inference takes; boundaries go from the narrowest to the widest."""

    network: Text = ""
    """Name of the network, where it is one of a library."""
    chip: Text = ""
    """Name of the chip that such a network would go on."""
    boundaries: list[Boundary] = []
    """Totals, each of which holds the one before."""
    parts: dict[str, Amount] = {}
    """Energy in J by kind of device, within the widest boundary."""
    layers: list[LayerCost] = []
    """Shares of the layers on chips."""
    counts: dict[str, Amount] = {}
    """Cores, devices in them, calls, multiply-accumulates and parameters."""
    constants: list[Constant] = []
    """Numbers that the cost rests on."""
    assumptions: list[str] = []
    """What was assumed, a sentence each."""
    throughput_per_s: Amount = None
    """Inferences per second."""
    area: dict[str, Amount] = {}
    """Area in m^2 by kind of device."""
    area_m2: Amount = None
    """Area of all devices in m^2."""
    power_w: Amount = None
    """Power at that throughput in W."""
    tops: Amount = None
    """Multiplications and additions of the layers on chips, 10^12 per second."""
    tops_per_w: Amount = None
    """The same per W within the widest boundary."""
    efficiency: dict[str, Amount] = {}
    """The same per W, by boundary."""
    schedule: Text = ""
    """Name of the schedule that the figures above are of."""
    boundary: Text = ""
    """Name of the widest boundary."""
    schedules: dict[str, Schedule] = {}
    """What one inference takes with each schedule, all else alike."""
    link_budget: list[LinkBudget] = []
    """Light from laser to detector, one for each chip."""
    reconfiguration: Reconfiguration = Reconfiguration()
    """What writing new weights takes."""
    memory: Memory = Memory()
    """Traffic of the memories."""
    converters: dict[str, Amount] = {}
    """Conversions by kind of converter."""
    electronics: Electronics = Electronics()
    """What is computed beside the chip."""
    references: list[Reference] = []
    """The whole network on electronic processors."""
    system: dict[str, Any] = {}
    """How the chips were run."""
    learning: LearningTotals | None = None
    """What learning on the chip took, None where nothing was learned there."""
    learning_detail: dict[str, Any] | None = None
    """The same by layer and kind of pass."""
