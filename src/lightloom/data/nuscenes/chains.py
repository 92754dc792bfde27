"""Chains of records, `prev` and `next`: that they end, and stay with one object, one sensor, one scene."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from lightloom.common.errors import RequestError
from lightloom.data.nuscenes.tables import Record, Tables

_DIRECTIONS = ("prev", "next")


def check_ends(tables: Tables, table: str, record: Record) -> None:
    """See that the chain of a record ends on both sides.

    Args:
        tables: Of the set.
        table: `sample`, `sample_data` or `sample_annotation`.
        record: One of its records.

    Raises:
        RequestError: It leads into a ring; the record is named, and those of the ring.
    """
    for field in _DIRECTIONS:
        if record["token"] in tables.derived(f"{table}.{field}", partial(endless, tables[table], field)):
            ring = _ring(tables[table], str(record["token"]), field)
            named = ", ".join(f"`{token}`" for token in ring[:4]) + (" ..." if len(ring) > 4 else "")
            raise RequestError(
                f"`{field}` of record `{record['token']}` in `{tables.folder / table}.json` leads into a ring that has "
                f'no end: {named}. Mend `{field}` there; it is "" where a chain ends.'
            )


def endless(records: Mapping[str, Mapping[str, Any]], field: str) -> frozenset[str]:
    """Tokens from which a link leads on for ever.

    Args:
        records: By token.
        field: The link: the token of another record, or empty where there is none.
    """
    ends = {"": True}
    for start in records:
        passed, token = [], start
        while token not in ends:
            ends[token] = False  # as long as no end was reached
            passed.append(token)
            token = records[token][field]
        if ends[token]:
            ends |= dict.fromkeys(passed, True)
    return frozenset(token for token, reached in ends.items() if not reached)


def _ring(records: Mapping[str, Record], token: str, field: str) -> list[str]:
    """The tokens of the ring that a chain leads into."""
    passed: list[str] = []
    while token not in passed:
        passed.append(token)
        token = records[token][field]
    return passed[passed.index(token) :]
