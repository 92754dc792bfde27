"""A whole network under one schedule: what its layers take, added up within every boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lightloom.cost import layer_cost, memory
from lightloom.cost.diffraction import LightCost, light_cost
from lightloom.cost.electronics import ElectronicCost
from lightloom.cost.layer_cost import ScheduledLayer
from lightloom.cost.memory import Traffic
from lightloom.cost.system import System
from lightloom.cost.technology import HELD, WAITING, cost_of
from lightloom.cost.workload import Workload

ASSUMPTIONS = (
    "Layers and inferences follow one another, and the electronics between them: nothing is pipelined.",
    "Electronics takes one operation for each result of a norm, an activation, a softmax, a sum or a pooling, at the "
    "price of a multiply-add, and reads and writes it in the buffer.",
)


class BoundaryRow(NamedTuple):
    """A total within one boundary, before it has a place in a bill."""

    name: str
    """Name of the boundary."""
    includes: str
    """What it counts, in words."""
    energy: float
    """Energy in J per inference."""
    latency: float
    """Latency in s of the batch."""


@dataclass(frozen=True)
class Total:
    """Energies in J per inference, times in s of a batch."""

    workload: Workload
    """What the network takes, whatever it runs on."""
    system: System
    """How the chips are run."""
    layers: list[ScheduledLayer]
    """Layers on tensor cores."""
    light: list[LightCost]
    """Diffractive layers, in the order of `workload.light`, for one inference."""
    waiting: dict[str, float]
    """Energy that holds the phases of each layer while it waits for memory, electronics or frames, for the batch."""
    held: dict[str, float]
    """Energy that holds its phases else, for the batch."""
    electronic: ElectronicCost
    """What electronics takes per inference."""
    around: Traffic
    """What electronics and the ends of the network move per inference."""
    parts: dict[str, float]
    """Energy by kind of device."""
    boundaries: list[BoundaryRow]
    """Boundaries of the cost, from the optics alone to memory and electronics."""


def add_up(workload: Workload, system: System) -> Total:
    """The bill of a network: layers on tensor cores, diffractive layers, and the electronics between them.

    Args:
        workload: What its forward pass takes.
        system: How the chips are run.
    """
    layers = layer_cost.schedule_layers(workload.layers, system)
    light = [light_cost(use, system.parallel_paths) for use in workload.light]
    batch = system.inferences
    electronic = system.electronics.spend(workload.macs + workload.values)
    around = memory.around(workload.values, workload.values_in, workload.values_out, system)
    working, stalled = sum(row.time for row in layers), sum(row.stall for row in layers)
    elsewhere = stalled + electronic.latency_s * batch
    pause = elsewhere + sum(cost.time for cost in light) * batch
    holding = {row.layer.name: _holding(row, working, row.time) for row in layers}
    waiting = {row.layer.name: _holding(row, pause, row.stall) for row in layers}
    sums = {HELD: sum(holding.values()), WAITING: sum(waiting.values())}
    parts = _parts(_in_use(workload), layers, light, sums, batch)
    parts["memory"] = parts.get("memory", 0.0) + sum(around.energy(system).values())
    parts["electronics"] = electronic.energy_j
    boundaries = _boundaries(parts, layers, light, elsewhere, batch)
    return Total(workload, system, layers, light, waiting, holding, electronic, around, parts, boundaries)


def _holding(row: ScheduledLayer, always: float, meanwhile: float) -> float:
    """J that hold a layer's phases: always where its weights stay, paid once by layers that share them."""
    if row.resident:
        return 0.0 if row.layer.tied_to else row.hold * always
    return row.hold * meanwhile


_ORDER = (
    (HELD, "cell writes", "laser light", "masks"),
    ("weight DACs", "modulators and DACs", "detectors and ADCs", "integrators", "image modulators", "cameras"),
    ("laser wall plug",),
    (WAITING, "memory", "electronics"),
)
"""Parts that each boundary adds."""


def _in_use(workload: Workload) -> set[str]:
    """Parts that are listed even where they are 0."""
    of_cores = {"laser light", "modulators and DACs", "detectors and ADCs", "laser wall plug", "memory"}
    of_light = {"laser light", "masks", "image modulators", "cameras", "laser wall plug", "memory"}
    own = {part for layer in workload.layers for part in cost_of(layer.chip).parts}
    return own | (of_cores if workload.layers else set()) | (of_light if workload.light else set())


def _parts(
    always: set[str], layers: list[ScheduledLayer], light: list[LightCost], sums: dict[str, float], batch: int
) -> dict[str, float]:
    """J per inference by part, of the parts that there are; `sums` are those of the batch that layers do not have."""
    for row in layers:
        for part, joules in row.parts.items():
            sums[part] = sums.get(part, 0.0) + joules
    for cost in light:
        for part, joules in cost.parts.items():
            sums[part] = sums.get(part, 0.0) + joules * batch
    present = always | {part for part, joules in sums.items() if joules}
    return {part: sums.get(part, 0.0) / batch for parts in _ORDER for part in parts if part in present}


def _boundaries(
    parts: dict[str, float], layers: list[ScheduledLayer], light: list[LightCost], elsewhere: float, batch: int
) -> list[BoundaryRow]:
    optics = sum(row.compute + row.settling for row in layers) + sum(cost.mask_time for cost in light) * batch
    whole = sum(row.compute + row.settling for row in layers) + sum(row.fill for row in layers)
    whole += sum(cost.time for cost in light) * batch
    inside = " and ".join(part for part in _ORDER[0] if part in parts)
    around = "and modulators, DACs, detectors, ADCs" if layers else "and modulators"
    steps = (
        ("optics only", inside, optics),
        ("with converters", f"{around}, cameras" if light else around, whole),
        ("with laser wall plug", "and the electricity that the laser turns into heat", whole),
        ("with memory and electronics", "and weights and activations in memory, all other layers", whole + elsewhere),
    )
    rows, joules = [], 0.0
    for (name, includes, latency), added in zip(steps, _ORDER, strict=True):
        joules += sum(parts.get(part, 0.0) for part in added)
        rows.append(BoundaryRow(name, includes, joules, latency))
    return rows
