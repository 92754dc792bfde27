"""A whole network under one schedule: its layers' bills added up, within every boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lightloom.cost import layer_cost, memory
from lightloom.cost.electronics import Spent
from lightloom.cost.layer_cost import LayerBill
from lightloom.cost.memory import Traffic
from lightloom.cost.system import System
from lightloom.cost.technology import HELD, WAITING, cost_of
from lightloom.cost.workload import Forward

ASSUMPTIONS = (
    "Layers and inferences follow one another, and the electronics between them: nothing is pipelined.",
    "Electronics takes one operation for each result of a norm, an activation, a softmax, a sum or a pooling, at the "
    "price of a multiply-add, and reads and writes it in the buffer.",
)


class BoundaryRow(NamedTuple):
    """As `Boundary`, before it has a place in a bill."""

    name: str
    includes: str
    energy: float
    """J per inference."""
    latency: float
    """s of the batch."""


@dataclass(frozen=True)
class Total:
    """Energies in J per inference, times in s of a batch."""

    told: Forward
    system: System
    bills: list[LayerBill]
    waiting: dict[str, float]
    """J that hold the phases of each layer while it waits for memory or electronics, for the batch."""
    held: dict[str, float]
    """J that hold its phases else, for the batch."""
    spent: Spent
    """On electronics, per inference."""
    around: Traffic
    """Of electronics and the ends of the network, per inference."""
    parts: dict[str, float]
    boundaries: list[BoundaryRow]


def add_up(told: Forward, system: System) -> Total:
    """The bill of a network.

    Args:
        told: What its forward pass takes.
        system: How the chips are run.
    """
    bills = layer_cost.bills(told.layers, system)
    batch = system.inferences
    spent = system.electronics.spend(told.macs + told.values)
    around = memory.around(told.values, told.values_in, told.values_out, system)
    working, stalled = sum(row.time for row in bills), sum(row.stall for row in bills)
    pause = stalled + spent.latency_s * batch
    held = {row.layer.name: _holding(row, working, row.time) for row in bills}
    waiting = {row.layer.name: _holding(row, pause, row.stall) for row in bills}
    parts = _parts(told, bills, held, waiting, batch)
    parts["memory"] += sum(around.energy(system).values())
    parts["electronics"] = spent.energy_j
    boundaries = _boundaries(parts, bills, pause)
    return Total(told, system, bills, waiting, held, spent, around, parts, boundaries)


def _holding(row: LayerBill, always: float, meanwhile: float) -> float:
    """J that hold a layer's phases: always where its weights stay, paid once by layers that share them."""
    if row.resident:
        return 0.0 if row.layer.tied_to else row.hold * always
    return row.hold * meanwhile


_ORDER = (
    (HELD, "cell writes", "laser light"),
    ("weight DACs", "modulators and DACs", "detectors and ADCs", "integrators"),
    ("laser wall plug",),
    (WAITING, "memory", "electronics"),
)
"""Parts that each boundary adds."""


def _parts(
    told: Forward, bills: list[LayerBill], held: dict[str, float], waiting: dict[str, float], batch: int
) -> dict[str, float]:
    """J per inference by part, of the parts that there are."""
    sums = {HELD: sum(held.values()), WAITING: sum(waiting.values())}
    for row in bills:
        for part, joules in row.parts.items():
            sums[part] = sums.get(part, 0.0) + joules
    present = {part for part, joules in sums.items() if joules}
    present |= {"laser light", "modulators and DACs", "detectors and ADCs", "laser wall plug", "memory"}
    present |= {part for layer in told.layers for part in cost_of(layer.chip).parts}
    return {part: sums[part] / batch for parts in _ORDER for part in parts if part in present}


def _boundaries(parts: dict[str, float], bills: list[LayerBill], pause: float) -> list[BoundaryRow]:
    light = sum(row.compute + row.settling for row in bills)
    whole = light + sum(row.fill for row in bills)
    inside = " and ".join(part for part in _ORDER[0] if part in parts)
    told = (
        ("optics only", inside, light),
        ("with converters", "and modulators, DACs, detectors, ADCs", whole),
        ("with laser wall plug", "and the electricity that the laser turns into heat", whole),
        ("with memory and electronics", "and weights and activations in memory, all other layers", whole + pause),
    )
    rows, joules = [], 0.0
    for (name, includes, latency), added in zip(told, _ORDER, strict=True):
        joules += sum(parts.get(part, 0.0) for part in added)
        rows.append(BoundaryRow(name, includes, joules, latency))
    return rows
