"""Which found box belongs to which true one: greedily by score, to the nearest that is still free."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lightloom.metrics.nuscenes.boxes import Array, Integers


def match(
    detected_sample: Integers, detected: Array, truth_sample: Integers, truth: Array, distances: Sequence[float]
) -> Integers:
    """Match the boxes of one class.

    A found box takes the nearest true box of its sample that no earlier one took, where that is closer than the
    distance; of true boxes equally near, the first. Samples do not touch each other, so the first found boxes of all
    samples are matched at once, then the second ones, and so on.

    Args:
        detected_sample: [n], in the order of falling scores.
        detected: Centres [n, 2] in m.
        truth_sample: [m].
        truth: Centres [m, 2] in m.
        distances: In m; a match is closer than this.

    Returns:
        [distances, n]: the place of the true box that each found one takes; -1 where it takes none.
    """
    partners = np.full((len(distances), len(detected)), -1, dtype=np.int64)
    if not len(truth):
        return partners
    samples, places = _by_sample(truth_sample)
    there = places >= 0
    centers = np.where(there[..., None], truth[places], np.inf)
    free = np.repeat(there[None], len(distances), axis=0)
    for turn, rows in _turns(detected_sample, samples):
        gap = centers[rows] - detected[turn, None]
        away = np.sqrt(gap[..., 0] ** 2 + gap[..., 1] ** 2)
        for level, distance in enumerate(distances):
            gaps = np.where(free[level, rows], away, np.inf)
            nearest = gaps.argmin(1)
            close = gaps[np.arange(len(rows)), nearest] < distance
            partners[level, turn[close]] = places[rows[close], nearest[close]]
            free[level, rows[close], nearest[close]] = False
    return partners


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
    in_truth = np.flatnonzero(samples[np.minimum(rows, len(samples) - 1)] == sample)
    grouped = in_truth[np.argsort(rows[in_truth], kind="stable")]
    _, starts, counts = np.unique(rows[grouped], return_index=True, return_counts=True)
    turn = np.arange(len(grouped)) - np.repeat(starts, counts)
    by_turn = np.argsort(turn, kind="stable")
    cuts = np.flatnonzero(np.diff(turn[by_turn])) + 1
    return [(places, rows[places]) for places in np.split(grouped[by_turn], cuts) if len(places)]
