"""The key figures of a run: accuracy, chip calls, energy with its boundary, latency."""

from __future__ import annotations

from dataclasses import dataclass

from lightloom.report import units
from lightloom.report.readers.run import Run


@dataclass(frozen=True)
class Card:
    """One key figure."""

    label: str
    value: str
    note: str


def cards(run: Run) -> list[Card]:
    """The key figures: accuracy, chip calls, energy with its boundary, latency."""
    summary, cost = run.summary, run.cost
    widest = cost.boundaries[-1] if cost.boundaries else None
    energy = widest.energy_j if widest else summary.energy_j
    latency = widest.latency_s if widest else summary.latency_s
    inside = f"boundary: {widest.name}" if widest else "boundary not recorded"
    calls = summary.chip_calls if summary.chip_calls is not None else cost.counts.get("calls")
    learning = summary.learning.chip_calls
    found = _accuracy_card(run)
    if calls is not None:
        note = f"and {units.count(learning)} spent once, on learning" if learning else ""
        found.append(Card("Chip calls per inference", units.count(calls), note))
    if energy is not None:
        found.append(Card("Energy per inference", units.si(energy, "J"), inside))
    if latency is not None:
        found.append(Card("Latency per inference", units.si(latency, "s"), inside))
    return found


def _accuracy_card(run: Run) -> list[Card]:
    known = {stage: value for stage, value in run.summary.accuracy.items() if value is not None}
    if not known or run.compares:
        return []
    last, reached = list(known.items())[-1]
    lost = known.get("electronic", 0.0) - known.get("programmed", 1.0)
    if lost <= 0 or reached <= known["programmed"]:
        return [Card("Accuracy", units.percent(reached), last)]
    regained = reached - known["programmed"]
    whole = f"of the {100 * lost:.1f}" if regained <= lost else f"where {100 * lost:.1f} were"
    note = f"{whole} lost when programmed; now {units.percent(reached)}"
    return [Card("Accuracy recovered", f"{100 * regained:.1f}{units.NO_BREAK}points", note)]
