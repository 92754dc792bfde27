"""Matching all samples at once gives what matching one box after the other gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightloom.metrics.nuscenes.curves import mean_error
from lightloom.metrics.nuscenes.match import match

DISTANCES = (0.5, 1.0, 2.0, 4.0)
# whole and half metres: many boxes are equally near, or at a distance exactly
Places = list[tuple[int, int, int]]
BOXES = st.lists(st.tuples(st.integers(0, 4), st.integers(-6, 6), st.integers(-6, 6)), max_size=25)


@given(found=BOXES, truth=BOXES)
def test_matches_are_those_of_a_plain_loop(found: Places, truth: Places) -> None:
    (found_sample, centers), (truth_sample, true_centers) = _arrays(found), _arrays(truth)
    taken = match(found_sample, centers, truth_sample, true_centers, DISTANCES)
    for level, distance in enumerate(DISTANCES):
        assert taken[level].tolist() == _one_by_one(found, truth, distance)


def _arrays(boxes: Places) -> tuple[np.ndarray, np.ndarray]:
    rows = np.array(boxes, dtype=float).reshape(-1, 3)
    return rows[:, 0].astype(np.int64), rows[:, 1:] / 2


def _one_by_one(found: Places, truth: Places, distance: float) -> list[int]:
    free = set(range(len(truth)))
    taken = []
    for sample, x, y in found:
        nearest, best = -1, distance
        for place in sorted(free):
            if truth[place][0] == sample:
                away = (((x - truth[place][1]) / 2) ** 2 + ((y - truth[place][2]) / 2) ** 2) ** 0.5
                if away < best:
                    nearest, best = place, away
        taken.append(nearest)
        free -= {nearest}
    return taken


def test_an_error_is_the_mean_of_running_means_over_the_recalls_reached() -> None:
    confidence = np.where(np.arange(101) <= 60, np.linspace(1, 0.4, 101), 0)
    errors, scores = np.array([np.nan, 2.0, 4.0]), np.array([0.9, 0.8, 0.7])
    # 0 until the first known error, then 2, then 3; in lines between the scores, level outside
    expected = np.interp(confidence[11:61], [0.7, 0.8, 0.9], [3.0, 2.0, 0.0]).mean()
    assert mean_error(errors, scores, confidence) == pytest.approx(expected)
    assert mean_error(np.full(3, np.nan), scores, confidence) == 1
    assert mean_error(errors, scores, np.where(np.arange(101) <= 10, 0.5, 0)) == 1
