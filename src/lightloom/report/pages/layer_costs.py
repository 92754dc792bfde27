"""What the section on cost tells beside its plots: key figures, small tables, and the walk of the light."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lightloom.report import units
from lightloom.report.pages.key_figures import Card
from lightloom.report.plots.link_budget import Walk, walks
from lightloom.schemas import CostFile, LinkBudget, Reconfiguration

Rows = tuple[tuple[str, str], ...]

_NAMES = {"dac": "Inputs, to analogue", "adc": "Outputs, to digital", "settings": "Settings of phases"}


@dataclass(frozen=True)
class Table:
    """Names with their figures."""

    title: str
    note: str
    rows: Rows


@dataclass(frozen=True)
class Bill:
    """The whole: every list may be empty."""

    cards: tuple[Card, ...]
    tables: tuple[Table, ...]
    walks: tuple[Walk, ...]

    def laser(self, walk: Walk) -> Rows:
        """What the laser of one chip must give, and what that takes from the socket."""
        budget = walk.budget
        lit = f" {units.count(budget.cores_lit)}" if budget.cores_lit is not None else ""
        facts = (
            ("Lost on the way", units.db(walk.lost_db)),
            ("Needed by the detector", units.dbm(walk.sensitivity_dbm)),
            ("Left over", units.db(walk.margin_db)),
            ("Channels of a core", units.count(budget.channels)),
            ("Laser light, one core", units.si(budget.laser_w, "W")),
            ("Laser electricity, one core", units.si(budget.laser_electrical_w, "W")),
            (f"Laser electricity, all{lit} cores with light", units.si(budget.total_laser_w, "W")),
            *_levels(budget),
        )
        return tuple((name, text) for name, text in facts if text != units.ABSENT)


def bill(cost: CostFile) -> Bill:
    """What a run says of its cost."""
    tables = (_memory(cost), _reconfiguration(cost.reconfiguration), _converters(cost), _electronics(cost))
    return Bill(tuple(_cards(cost)), tuple(table for table in tables if table.rows), tuple(walks(cost.link_budget)))


def _cards(cost: CostFile) -> Iterator[Card]:
    boundary = f"boundary: {cost.boundaries[-1].name}" if cost.boundaries else ""
    if cost.throughput_per_s is not None:
        schedule = f"{cost.schedule} stationary" if cost.schedule else ""
        yield Card("Inferences per second", units.rounded(cost.throughput_per_s), schedule)
    if cost.tops is not None:
        yield Card("Operations per second", _operations(cost.tops, "OPS"), "two a multiply-accumulate")
    if cost.tops_per_w is not None:
        yield Card("Efficiency", _operations(cost.tops_per_w, "OPS/W"), boundary)
    if cost.power_w is not None:
        yield Card("Power", units.si(cost.power_w, "W"), boundary)
    if cost.area_m2 is not None:
        yield Card("Area", units.amount(cost.area_m2, "m²"), "")


def _memory(cost: CostFile) -> Table:
    memory = cost.memory
    rows = []
    for name in dict.fromkeys((*memory.bytes, *memory.energy_j)):
        texts = (units.si(memory.bytes.get(name), "B"), units.si(memory.energy_j.get(name), "J"))
        rows.append((units.capital(name), ", ".join(text for text in texts if text != units.ABSENT) or units.ABSENT))
    rows += [(f"of it {name}", units.si(value, "B")) for name, value in _known(memory.contents)]
    return Table("Memory traffic", "Of one inference.", tuple(rows))


def _reconfiguration(reconfiguration: Reconfiguration) -> Table:
    rows = (
        ("Tiles set", units.rounded(reconfiguration.times)),
        ("Time", units.si(reconfiguration.time_s, "s")),
        ("Energy", units.si(reconfiguration.energy_j, "J")),
    )
    note = "Writing weights onto the chip, for one inference."
    return Table("Reconfiguration", note, tuple(row for row in rows if row[1] != units.ABSENT))


def _converters(cost: CostFile) -> Table:
    rows = tuple((_NAMES.get(name, name), units.count(value)) for name, value in _known(cost.converters))
    return Table("Conversions", "Of one inference.", rows)


def _electronics(cost: CostFile) -> Table:
    electronics = cost.electronics
    rows = (
        ("Multiply-accumulates", units.rounded(electronics.macs)),
        ("Energy", units.si(electronics.energy_j, "J")),
        ("Energy of its memory", units.si(electronics.memory_j, "J")),
        ("Latency", units.si(electronics.latency_s, "s")),
    )
    note = f"What is on no chip, on: {electronics.profile}." if electronics.profile else "What is on no chip."
    return Table("Electronics beside the chip", note, tuple(row for row in rows if row[1] != units.ABSENT))


def _known(amounts: Mapping[str, float | None]) -> Iterator[tuple[str, float]]:
    yield from ((name, value) for name, value in amounts.items() if value is not None)


def _operations(tera: float, unit: str) -> str:
    """10^12 operations with a prefix; of thousands of them with none larger than that."""
    return f"{units.rounded(tera)}{units.NO_BREAK}T{unit}" if tera >= 1e3 else units.si(1e12 * tera, unit)


def _levels(budget: LinkBudget) -> Iterator[tuple[str, str]]:
    """Laser light both with and without the factor for the levels of the output."""
    bits = f" of {units.count(budget.bits)} bit" if budget.bits is not None else ""
    counted = (budget.bits_factor or 1.0) > 1
    yield (
        f"Light of a core {'without' if counted else 'with'} a factor for the levels{bits}",
        units.si(budget.laser_w_without_levels if counted else budget.laser_w_with_levels, "W"),
    )
