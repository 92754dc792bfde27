"""The key figures of a run: its primary metric, chip calls, energy with its boundary, latency."""

from __future__ import annotations

from dataclasses import dataclass

from lightloom.report import metric_text, units
from lightloom.report.readers.run import Run


@dataclass(frozen=True)
class Card:
    """One key figure."""

    label: str
    value: str
    note: str


def cards(run: Run) -> list[Card]:
    """The key figures: the primary metric, chip calls, energy with its boundary, latency."""
    summary, cost = run.summary, run.cost
    widest = cost.boundaries[-1] if cost.boundaries else None
    energy = widest.energy_j if widest else summary.energy_j
    latency = widest.latency_s if widest else summary.latency_s
    inside = f"boundary: {widest.name}" if widest else "boundary not recorded"
    calls = summary.chip_calls if summary.chip_calls is not None else cost.counts.get("calls")
    learning = summary.learning.chip_calls
    figures = _metric_card(run)
    if calls is not None:
        note = f"and {units.count(learning)} spent once, on learning" if learning else ""
        figures.append(Card("Chip calls per inference", units.count(calls), note))
    if energy is not None:
        figures.append(Card("Energy per inference", units.si(energy, "J"), inside))
    if latency is not None:
        figures.append(Card("Latency per inference", units.si(latency, "s"), inside))
    return figures


def _metric_card(run: Run) -> list[Card]:
    """How good the network is in the end, or how much of what programming lost was regained."""
    values = {state: value for state, value in run.values.items() if value is not None}
    if not values or run.compares:
        return []
    metric, name = run.metric, metric_text.heading(run.metric)
    last, reached = list(values.items())[-1]
    programmed = values.get("programmed")
    lost = 0.0
    if programmed is not None and "electronic" in values:
        lost = metric.gain(programmed, values["electronic"])
    if programmed is None or lost <= 0 or metric.gain(programmed, reached) <= 0:
        return [Card(name, metric_text.value(reached, metric), last)]
    regained = metric.gain(programmed, reached)
    amount = _amount(lost, run)
    whole = f"of the {amount}" if regained <= lost else f"where {amount} were"
    note = f"{whole} lost when programmed; now {metric_text.value(reached, metric)}"
    unit = metric_text.difference_unit(metric)
    return [Card(f"{name} recovered", f"{_amount(regained, run)}{units.NO_BREAK}{unit}".strip(), note)]


def _amount(difference: float, run: Run) -> str:
    return f"{100 * difference:.1f}" if run.metric.percent else units.number(difference)
