"""What two runs say of the same things, as tables: settings that differ, metrics, cost, layers, versions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lightloom.report import metric_text, units
from lightloom.report.html_page import setting
from lightloom.report.readers.run import Run, flatten
from lightloom.schemas import LayerRow

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Cell:
    """What is shown, and the number that it is sorted by."""

    text: str
    value: float | None = None


@dataclass(frozen=True)
class Row:
    """One thing in both runs."""

    name: str
    one: Cell
    other: Cell
    change: Cell = Cell("")


@dataclass(frozen=True)
class Table:
    """Rows under one heading; `change` names the last column, none where it is empty."""

    caption: str
    change: str
    rows: tuple[Row, ...]
    numeric: bool = True
    folded: bool = False


def settings(one: Run, other: Run) -> Table:
    """Every field of config, chip and specimen that both have and that is not the same.

    Args:
        one: Run A.
        other: Run B.
    """
    left, right = _fields(one), _fields(other)
    rows = (
        Row(name, Cell(left[name]), Cell(right[name])) for name in left if left[name] != right.get(name, left[name])
    )
    return Table("Settings that differ", "", tuple(rows), numeric=False)


def own_settings(one: Run, other: Run) -> Table:
    """Every field of config, chip and specimen that one of the two alone has.

    Args:
        one: Run A.
        other: Run B.
    """
    left, right = _fields(one), _fields(other)
    names = [name for name in union(left, right) if (name in left) != (name in right)]
    rows = (Row(name, Cell(left.get(name, units.ABSENT)), Cell(right.get(name, units.ABSENT))) for name in names)
    return Table("Settings that only one of the two has", "", tuple(rows), numeric=False, folded=True)


def metric(one: Run, other: Run) -> Table:
    """The primary metric by stage, or by case where both are comparisons, with the difference.

    Args:
        one: Run A.
        other: Run B.
    """
    kind, values = one.metric, metric_values(one, other)

    def difference(left: float | None, right: float | None) -> Cell:
        if left is None or right is None:
            return Cell(units.ABSENT)
        return Cell(metric_text.difference(right - left, kind), right - left)

    rows = _pairs(*values, lambda value: metric_text.value(value, kind), difference)
    unit = metric_text.difference_unit(kind)
    return Table(metric_text.heading(kind), f"B − A{f' / {unit}' if unit else ''}", tuple(rows))


def metric_values(one: Run, other: Run) -> tuple[dict[str, float], dict[str, float]]:
    """The primary metric of both by stage, or by case of a comparison; nothing where they have different ones.

    Args:
        one: Run A.
        other: Run B.
    """
    if one.metric.name != other.metric.name:
        return {}, {}
    return _metric_values(one), _metric_values(other)


def _metric_values(run: Run) -> dict[str, float]:
    if run.sweep is not None:
        return {case.name: case.mean for case in run.sweep.cases}
    return {stage: value for stage, value in run.values.items() if value is not None}


def totals(one: Run, other: Run) -> Table:
    """Chip calls, energy, latency and every count of the cost.

    Args:
        one: Run A.
        other: Run B.
    """
    calls = {"chip calls": one.summary.chip_calls}, {"chip calls": other.summary.chip_calls}
    counts = _known(one.cost.counts), _known(other.cost.counts)
    learning = {"chip calls spent on learning": one.summary.learning.chip_calls}
    learnt = {"chip calls spent on learning": other.summary.learning.chip_calls}
    rows = (
        *_ratios(calls[0], calls[1], units.count),
        *_ratios(learning, learnt, units.count),
        *_ratios(counts[0], counts[1], units.count),
    )
    return Table("Counts", "B / A", rows)


def energies(one: Run, other: Run) -> Table:
    """Energy of one inference within each boundary.

    Args:
        one: Run A.
        other: Run B.
    """
    rows = _ratios(by_boundary(one), by_boundary(other), lambda value: units.si(value, "J"))
    return Table("Energy by boundary", "B / A", tuple(rows))


def by_boundary(run: Run) -> dict[str, float]:
    """Energy in J within each boundary."""
    return _known({boundary.name: boundary.energy_j for boundary in run.cost.boundaries})


def latencies(one: Run, other: Run) -> Table:
    """Latency of one inference within each boundary.

    Args:
        one: Run A.
        other: Run B.
    """
    left, right = ({boundary.name: boundary.latency_s for boundary in run.cost.boundaries} for run in (one, other))
    rows = _ratios(left, right, lambda value: units.si(value, "s"))
    return Table("Latency by boundary", "B / A", tuple(rows))


def parts(one: Run, other: Run) -> Table:
    """Energy of one inference by what spends it.

    Args:
        one: Run A.
        other: Run B.
    """
    rows = _ratios(one.cost.parts, other.cost.parts, lambda value: units.si(value, "J"))
    return Table("Energy by part", "B / A", tuple(rows))


def places(one: Run, other: Run) -> Table:
    """Where each layer runs, in what blocks.

    Args:
        one: Run A.
        other: Run B.
    """
    left, right = ({layer.name: _place(layer) for layer in run.layers} for run in (one, other))
    rows = (
        Row(name, Cell(left.get(name, units.ABSENT)), Cell(right.get(name, units.ABSENT)))
        for name in union(left, right)
    )
    return Table("Where each layer runs", "", tuple(rows), numeric=False)


def layer_energies(one: Run, other: Run) -> Table:
    """Energy of one inference in each layer.

    Args:
        one: Run A.
        other: Run B.
    """
    left, right = ({layer.name: layer.energy_j for layer in run.cost.layers} for run in (one, other))
    rows = _ratios(left, right, lambda value: units.si(value, "J"))
    return Table("Energy by layer", "B / A", tuple(rows))


def layer_errors(one: Run, other: Run) -> Table:
    """Relative error of the weights of each layer, after the last stage that both measured.

    Args:
        one: Run A.
        other: Run B.
    """
    shared = [stage for stage in one.stages if stage in other.stages and _measured(one, stage)]
    shared = [stage for stage in shared if _measured(other, stage)]
    if not shared:
        return Table("", "", ())
    left, right = ({layer.name: layer.errors.get(shared[-1]) for layer in run.layers} for run in (one, other))
    rows = _ratios(left, right, units.number)
    return Table(f"Relative error of the weights: {shared[-1]}", "B / A", tuple(rows))


def versions(one: Run, other: Run) -> Table:
    """Software and hardware of both.

    Args:
        one: Run A.
        other: Run B.
    """
    left, right = ({name: setting(value) for name, value in run.versions.items()} for run in (one, other))
    rows = (
        Row(
            name,
            Cell(left.get(name, units.ABSENT)),
            Cell(right.get(name, units.ABSENT)),
            Cell("same" if left.get(name) == right.get(name) else "differs"),
        )
        for name in union(left, right)
    )
    return Table("Versions and hardware", "A and B", tuple(rows), numeric=False)


def ratio(one: float | None, other: float | None) -> Cell:
    """How many times as much the other is.

    Args:
        one: The number in run A.
        other: The number in run B.
    """
    if one is None or other is None or one <= 0:
        return Cell(units.ABSENT)
    return Cell(f"{units.rounded(other / one)}{units.NO_BREAK}×", other / one)


def union(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The names of both, in the order of the first, then of the second.

    Args:
        one: The first mapping.
        other: The second mapping.
    """
    return list(dict.fromkeys([*one, *other]))


def _fields(run: Run) -> dict[str, str]:
    """Config, chip and specimen as `name: text`; a config holds the chip too, and what was made of it counts."""
    config = {key: value for key, value in run.config.items() if key != "chip" or not run.chip}
    whole = {**config, "chip": run.chip or config.get("chip", {}), "specimen": run.specimen}
    return {name: setting(value) for name, value in flatten(whole)}


def _known(values: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in values.items() if value is not None and math.isfinite(value)}


def _pairs(
    one: Mapping[str, float | None],
    other: Mapping[str, float | None],
    text: Callable[[float | None], str],
    change: Callable[[float | None, float | None], Cell],
) -> Iterator[Row]:
    """A row for each name that one of them knows a value of."""
    for name in union(one, other):
        left, right = one.get(name), other.get(name)
        if left is not None or right is not None:
            yield Row(name, Cell(text(left), left), Cell(text(right), right), change(left, right))


def _ratios(
    one: Mapping[str, float | None], other: Mapping[str, float | None], text: Callable[[float | None], str]
) -> Iterator[Row]:
    return _pairs(one, other, text, ratio)


def _place(layer: LayerRow) -> str:
    if not layer.converted:
        return f"electronics: {layer.reason}" if layer.reason else "electronics"
    size = f" of {layer.block_size} × {layer.block_size}" if layer.block_size else ""
    return f"chip: {' × '.join(map(str, layer.blocks))} blocks{size}" if layer.blocks else "chip"


def _measured(run: Run, stage: str) -> bool:
    return any(layer.errors.get(stage) is not None for layer in run.layers)
