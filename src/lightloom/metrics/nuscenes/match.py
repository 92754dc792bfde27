"""Which found box belongs to which true one: greedily by score, to the nearest that is still free."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightloom.metrics.nuscenes.boxes import Array, Integers


def match(
    found_sample: Integers, found: Array, truth_sample: Integers, truth: Array, distances: Sequence[float]
) -> Integers:
    """Match the boxes of one class.

    A found box takes the nearest true box of its sample that no earlier one took, where that is closer than the
    distance; of true boxes equally near, the first. Samples do not touch each other, so the first found boxes of all
    samples are matched at once, then the second ones, and so on.

    Args:
        found_sample: [n], in the order of falling scores.
        found: Centres [n, 2] in m.
        truth_sample: [m].
        truth: Centres [m, 2] in m.
        distances: In m; a match is closer than this.

    Returns:
        [distances, n]: the place of the true box that each found one takes; -1 where it takes none.
    """
    taken = np.full((len(distances), len(found)), -1, dtype=np.int64)
    if not len(truth):
        return taken
    samples, places = _by_sample(truth_sample)
    there = places >= 0
    centers = np.where(there[..., None], truth[places], np.inf)
    free = np.repeat(there[None], len(distances), axis=0)
    for turn, rows in _turns(found_sample, samples):
        gap = centers[rows] - found[turn, None]
        away = np.sqrt(gap[..., 0] ** 2 + gap[..., 1] ** 2)
        for level, distance in enumerate(distances):
            left = np.where(free[level, rows], away, np.inf)
            nearest = left.argmin(1)
            close = left[np.arange(len(rows)), nearest] < distance
            taken[level, turn[close]] = places[rows[close], nearest[close]]
            free[level, rows[close], nearest[close]] = False
    return taken


def _by_sample(sample: Integers) -> tuple[Integers, Integers]:
    """Samples [s] that have boxes, ascending, and the places [s, most] of their boxes in order, filled up with -1."""
    order = np.argsort(sample, kind="stable")
    samples, starts, counts = np.unique(sample[order], return_index=True, return_counts=True)
    column = np.arange(counts.max())
    filled = column < counts[:, None]
    return samples, np.where(filled, order[np.where(filled, starts[:, None] + column, 0)], -1)


def _turns(sample: Integers, samples: Integers) -> list[tuple[Integers, Integers]]:
    """Places of the first boxes of every sample that `samples` has, with the sample's row there; then the second."""
    rows = np.searchsorted(samples, sample)
    known = np.flatnonzero(samples[np.minimum(rows, len(samples) - 1)] == sample)
    grouped = known[np.argsort(rows[known], kind="stable")]
    _, starts, counts = np.unique(rows[grouped], return_index=True, return_counts=True)
    turn = np.arange(len(grouped)) - np.repeat(starts, counts)
    by_turn = np.argsort(turn, kind="stable")
    cuts = np.flatnonzero(np.diff(turn[by_turn])) + 1
    return [(places, rows[places]) for places in np.split(grouped[by_turn], cuts) if len(places)]
