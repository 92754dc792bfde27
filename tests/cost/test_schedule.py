"""Schedules against a simulation that hands out the work piece by piece and counts every event."""

import itertools
from collections import Counter
from typing import Any

import pytest

from lightloom.cost import schedule
from lightloom.cost.schedule import Events, Tiling

CASES = [
    (Tiling(rows, columns, groups, 4), vectors, channels, cores)
    for (rows, columns, groups), (vectors, channels), cores in itertools.product(
        [(3, 2, 1), (4, 13, 1), (11, 4, 1), (10, 9, 1), (9, 6, 3), (2, 3, 5), (3, 9, 4), (17, 4, 2)],
        [(1, 1), (7, 1), (10, 4), (13, 3)],
        [1, 2, 3, 5, 6, 8, 40],
    )
]


def simulate(kind: str, tiling: Tiling, vectors: int, channels: int, cores: int, sharing: str) -> Events:
    """Hand out the work to the cores in turn, and write down all that happens."""
    k, told = tiling.size, Counter[str]()
    height = [min(k, tiling.rows - k * i) for i in range(tiling.down)]
    width = [min(k, tiling.columns - k * j) for j in range(tiling.across)]
    chunks = [min(channels, vectors - start) for start in range(0, vectors, channels)]
    g, p, q, n = range(tiling.groups), range(tiling.down), range(tiling.across), range(len(chunks))
    # each piece is what one core does from one hand-out to the next: a list of (tile, chunk), one symbol each
    pieces: list[list[Any]] = {
        "weight": [[((a, i, j), c) for c in n] for a in g for j in q for i in p],
        "input": [[((a, i, j), c) for i in p] for a in g for j in q for c in n],
        "output": [[((a, i, j), c) for j in q] for c in n for a in g for i in p],
    }[kind]
    holds: dict[int, Any] = {}
    waiting, busy = set(), set()
    for start in range(0, len(pieces), cores):
        told["rounds"] += 1
        handed = pieces[start : start + cores]
        added = Counter[Any]()
        held = set()
        for symbol in range(len(handed[0])):
            told["cycles"] += 1
            changed, lit = False, set()
            for core, piece in enumerate(handed):
                tile, chunk = piece[symbol]
                (a, i, j), size = tile, chunks[chunk]
                busy.add(core)
                told["calls"] += 1
                if holds.get(core) != tile:
                    holds[core], changed = tile, True
                    told["settings"] += 1
                where = (core, a, j, chunk)
                if kind != "input" or where not in held:
                    held.add(where)
                    told["each"] += size * width[j]
                    rows = height[i] if kind != "input" else min(k, tiling.rows)
                    told["row"] += size * width[j] * rows
                lit.add((a, j, chunk))
                if kind != "output":
                    told["outputs"] += size * height[i]
                    added[a, i, chunk] += 1
            told["steps"] += changed
            told["shared"] += sum(chunks[chunk] * width[j] for _, j, chunk in lit)
        for (a, i, chunk), count in added.items():
            values = chunks[chunk] * height[i]
            told["sums"] += (count - 1) * values
            if (a, i, chunk) in waiting:
                told["partials"] += values
            waiting.add((a, i, chunk))
    if kind == "output":
        told["outputs"] = vectors * tiling.groups * tiling.rows
    fetches = told["shared"] if sharing == "cores" and kind != "input" else told["each"]
    inputs = told["row"] if sharing == "row" else fetches
    names = ("rounds", "steps", "settings", "cycles", "calls")
    return Events(
        len(busy), *[told[name] for name in names], inputs, fetches, told["outputs"], told["partials"], told["sums"]
    )


@pytest.mark.parametrize("kind", ["weight", "input", "output"])
def test_counts_are_those_of_a_simulation(kind: str) -> None:
    for case in CASES:
        for sharing in ("cores", "core", "row"):
            assert schedule.count_events(kind, *case, sharing) == simulate(kind, *case, sharing), (case, sharing)
