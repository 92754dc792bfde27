"""One white for all images of a set that hold more than 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from lightloom.data.detection.checks import Findings
from lightloom.data.detection.records import DetectionSet, Problem, Record

_KIND = "white level"


def one_white(records: Sequence[Record], where: str, findings: Findings) -> tuple[Record, ...]:
    """The same images with one white, the highest that one of them asks for, which is said.

    Args:
        records: Each with the white of its own image, or None where it holds 8 bits.
        where: The set, for the note.
        findings: Takes it.
    """
    deep = [record.white for record in records if record.white is not None]
    if not deep:
        return tuple(records)
    findings.problems.append(_remark(where, len(deep), max(deep), is_stated=False))
    return tuple(_with(record, max(deep)) for record in records)


def same_white(parts: dict[str, DetectionSet], name: str, white: float | None) -> dict[str, DetectionSet]:
    """The splits of a set with one white for all: as given, or the highest of theirs.

    Args:
        parts: By split.
        name: Of the set, for the note.
        white: Value that is white in every image of more than 8 bits; None leaves it to the data.
    """
    deep = [record.white for part in parts.values() for record in part.records if record.white is not None]
    if not deep or (white is None and len(set(deep)) == 1):
        return parts
    level = max(deep) if white is None else white
    remark = _remark(f"`{name}`", len(deep), level, is_stated=white is not None)
    same: dict[str, DetectionSet] = {}
    for split, part in parts.items():
        others = tuple(problem for problem in part.problems if problem.kind != _KIND)
        problems = others if same else (*others, remark)
        same[split] = replace(part, records=tuple(_with(record, level) for record in part.records), problems=problems)
    return same


def _remark(where: str, count: int, level: float, *, is_stated: bool) -> Problem:
    power = level > 1 and level == int(level) and int(level) & (int(level) + 1) == 0
    bits = f" ({int(level).bit_length()} bits)" if power else ""
    why = "as asked for" if is_stated else "the least depth that holds every value of theirs"
    return Problem(
        _KIND,
        where,
        f"{count} images hold more than 8 bits; white is {level:g}{bits} in all of them, {why} "
        "(`data.white` sets another)",
        "kept",
    )


def _with(record: Record, white: float) -> Record:
    return record if record.white is None or record.white == white else replace(record, white=white)
