"""What writing takes, in words: the sentence, the key figures and the tables of a run on a PCM chip."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lightloom.report import units
from lightloom.report.pages.key_figures import Card
from lightloom.schemas import LayerWrites, WritesCase, WritesFile

_DOING = {"calibrated": "calibrating", "mapped": "mapping", "learned": "training"}
_START = {
    "erased": "Every cell is erased before each inference, which is not counted.",
    "repeat": "Every inference starts from the levels that the one before it left.",
    "alternate": "Every other inference runs the turns backwards, so that nothing is written between two.",
}
_SHARING = {
    "row_private": "Every row of an array has inputs of its own, so each cell is written in an order of its own.",
    "column_shared": "All rows of an array share their inputs, so the columns of the array are written in one order.",
    "block_shared": "All slots of an array move together, so whole blocks are written in one order.",
}


@dataclass(frozen=True)
class Row:
    """One layer, before and after; a layer that is gone after has no figures there."""

    before: LayerWrites
    after: LayerWrites | None


def story(writes: WritesFile) -> str:
    """What was done and what it did to the writes, the most written cell and the life of the chip."""
    first, last = writes.first, writes.last
    if first is last:
        return (
            f"One inference writes {units.count(last.levels)} levels; the most written cell takes "
            f"{pulses(last.worst_cell)} pulses. {_life(writes)}"
        )
    return f"{_deed(first, last)} {_levels(first.levels, last.levels)}. {_cell(writes)}"


def notes(writes: WritesFile, chip: Mapping[str, Any]) -> list[str]:
    """Whether the chip keeps up with its rate, what its hardware shares, and where an inference starts from.

    Args:
        writes: What writing takes.
        chip: Description of the chip.
    """
    hardware = (_SHARING.get(str(chip.get("sharing"))), _START.get(str(chip.get("start"))))
    texts = (_pace(writes), " ".join(sentence for sentence in hardware if sentence))
    return [note for note in texts if note]


def cards(writes: WritesFile) -> list[Card]:
    """Fewer levels, the most written cell, the first failure in inferences and in time."""
    first, last = writes.first, writes.last
    compared = first is not last
    factor = reduction(first.levels, last.levels) if compared else None

    def earlier(value: str) -> str:
        return f"{value} before" if compared else ""

    figures = [
        Card("Levels written per inference", units.count(last.levels), earlier(units.count(first.levels)))
        if factor is None or factor < 1
        else Card(
            "Fewer levels written",
            f"{units.rounded(factor)}{units.NO_BREAK}×",
            f"{units.count(last.levels)} per inference instead of {units.count(first.levels)}",
        ),
        Card(
            "Most written cell",
            f"{pulses(first.worst_cell)} → {pulses(last.worst_cell)}" if compared else pulses(last.worst_cell),
            "pulses per inference",
        ),
        Card("Inferences to the first failure", life(last.first_failure), earlier(life(first.first_failure))),
    ]
    if writes.rate_hz is not None:
        rate = units.constant(writes.rate_hz, "Hz")
        figures.append(Card(f"First failure at {rate}", _time(writes, last), earlier(_time(writes, first))))
    return figures


def rows(writes: WritesFile) -> list[Row]:
    """Every layer of the first case beside itself in the last."""
    after = {layer.name: layer for layer in writes.last.layers}
    return [Row(layer, after.get(layer.name)) for layer in writes.first.layers]


def reduction(before: float, after: float) -> float | None:
    """How many times fewer; None where nothing is left to divide by.

    Args:
        before: The number before.
        after: The number after.
    """
    return before / after if after else None


def pulses(value: float) -> str:
    """Pulses on a cell: whole as a rule, halves where every other inference runs backwards."""
    return units.rounded(value, 6)


def life(value: float | None) -> str:
    """Inferences until cells fail, four digits of them: the same wherever they are told; None is never."""
    return "never" if value is None else units.rounded(value, 4)


def storage(writes: WritesFile) -> str:
    """Bits of the orders beside bits of the weights; empty where the run did not count them."""
    index, weight = writes.index_bits, writes.weight_bits
    if index is None or weight is None:
        return ""
    share = f"{units.percent(index / weight)} of the" if weight else "beside"
    return f"The orders take {units.count(index)} bits to store, {share} {units.count(weight)} bits of the weights."


def failures(writes: WritesFile, cells: float | None) -> Iterator[tuple[str, str]]:
    """The name of each case and how many cells have failed once the chip has served what it is to serve.

    Args:
        writes: Nothing comes of them where no number of inferences was asked for.
        cells: That the chip has in use, where it is known.
    """
    if not writes.inferences:
        return
    for case in writes.cases:
        failed, first = case.cells_failed, life(case.first_failure)
        if failed:
            words = f"{units.count(failed)} of {units.count(cells)} cells have" if cells else _cells_have(failed)
            yield case.name, f"{words} failed, the first after {first} inferences."
        elif failed is not None:
            rest = "none ever does" if case.first_failure is None else f"the first does after {first} inferences"
            yield case.name, f"no cell has failed; {rest}."


def _cells_have(failed: int) -> str:
    return "1 cell has" if failed == 1 else f"{units.count(failed)} cells have"


def _deed(first: WritesCase, last: WritesCase) -> str:
    """What lies between two cases, as the subject of a sentence with its verb."""
    deeds = []
    if last.state != first.state:
        deeds.append(_DOING.get(last.state, f"stage “{last.state}”"))
    if last.order != first.order:
        deeds.append("reordering")
    subject = " and ".join(deeds) or "the last case"
    return f"{subject[0].upper()}{subject[1:]} {'together write' if len(deeds) > 1 else 'writes'}"


def _levels(before: float, after: float) -> str:
    if after == before:
        return f"as many levels as before: {units.rounded(after)} per inference"
    if after > before:
        return f"more levels: {units.rounded(after)} per inference instead of {units.rounded(before)}"
    factor = reduction(before, after)
    if factor is None:
        return f"no level any more, instead of {units.rounded(before)} per inference"
    counts = f"{units.rounded(after)} per inference instead of {units.rounded(before)}"
    return f"{units.rounded(factor)} times fewer levels: {counts}"


def _cell(writes: WritesFile) -> str:
    """The most written cell, before and after, and its life."""
    first, last = writes.first, writes.last
    moves = (
        f"stays at {pulses(last.worst_cell)}"
        if last.worst_cell == first.worst_cell
        else f"goes from {pulses(first.worst_cell)} to {pulses(last.worst_cell)}"
    )
    cell = f"The most written cell {moves} pulses per inference"
    before, after = first.first_failure, last.first_failure
    if before is None or after is None or after <= before:
        return f"{cell}. {_life(writes)}"
    lasts = f"{life(last.first_failure)} inferences instead of {life(first.first_failure)}"
    if writes.rate_hz is not None:
        rate = units.constant(writes.rate_hz, "Hz")
        lasts += f", which is {_time(writes, last)} at {rate} instead of {_time(writes, first)}"
    return f"{cell} and lasts {units.rounded(after / before)} times longer: {lasts}."


def _life(writes: WritesFile) -> str:
    if writes.last.first_failure is None:
        return "No cell ever wears out."
    time = ""
    if writes.rate_hz is not None:
        time = f", which is {_time(writes, writes.last)} at {units.constant(writes.rate_hz, 'Hz')}"
    return f"The first cell fails after {life(writes.last.first_failure)} inferences{time}."


def _pace(writes: WritesFile) -> str:
    """A sentence saying that writing takes too long for the rate of the run, and what follows; else empty."""
    last, rate = writes.last, writes.rate_hz
    if rate is None or not last.latency_s or rate * last.latency_s <= 1:
        return ""
    words = (
        f"Writing alone takes {units.si(last.latency_s, 's')}, so one chip serves at most "
        f"{units.si(1 / last.latency_s, 'Hz')}, not {units.constant(rate, 'Hz')}"
    )
    if last.first_failure is None:
        return f"{words}."
    return f"{words}; at that pace its first cell fails after {units.span(last.first_failure * last.latency_s)}."


def _time(writes: WritesFile, case: WritesCase) -> str:
    """The time until the first cell fails, at the rate of the run."""
    if case.first_failure is None:
        return "never"
    return units.ABSENT if writes.rate_hz is None else units.span(case.first_failure / writes.rate_hz)
