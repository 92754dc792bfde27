"""Precision over recall, and errors over recall, read at 101 recalls.

Every step is the devkit's, down to its interpolation: a figure of it is the sum of such conventions.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lightloom.metrics.nuscenes.boxes import Array, Mask, Results, Truth

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which curves are read."""

LEAST_PRECISION = 0.1
"""Precision below this counts as none."""

FIRST = 11
"""The first of `RECALLS` that counts: those up to 0.1 are left out."""


class Curve(NamedTuple):
    """How precise the boxes of one class are at one distance."""

    precision: Array
    """Precision at `RECALLS` [101]; 0 beyond the highest that was reached."""
    confidence: Array
    """[101]: the score that reaches each recall; 0 where none does."""


def curve(hits: Mask, scores: Array, truths: int) -> Curve:
    """The curve of boxes in the order of falling scores.

    Args:
        hits: [n]: the box took a true one.
        scores: [n].
        truths: Number of true boxes.
    """
    if not truths or not hits.any():
        return Curve(np.zeros_like(RECALLS), np.zeros_like(RECALLS))
    right = np.cumsum(hits).astype(np.float64)
    recall = right / truths
    precision = right / np.arange(1, len(hits) + 1)
    return Curve(
        np.interp(RECALLS, recall, precision, right=0),
        np.interp(RECALLS, recall, scores, right=0),
    )


def average_precision(precision: Array) -> float:
    """AP: the mean of what lies above the least precision, over the recalls that count; 0 ... 1."""
    above = np.maximum(precision[FIRST:] - LEAST_PRECISION, 0)
    return float(above.mean() / (1 - LEAST_PRECISION))


def mean_error(errors: Array, scores: Array, confidence: Array) -> float:
    """The mean of an error over the recalls that count and were reached.

    Args:
        errors: [m] of the matches in the order of falling scores; NaN where the error does not apply.
        scores: [m].
        confidence: [101], of the matches' `Curve`.

    Returns:
        The mean of the running means; 1 where no recall that counts was reached, or the error never applies.
    """
    reached = np.flatnonzero(confidence)
    if not len(reached) or reached[-1] < FIRST:
        return 1.0
    running = _running_mean(errors)
    at_recalls = np.interp(confidence[::-1], scores[::-1], running[::-1])[::-1]
    return float(at_recalls[FIRST : reached[-1] + 1].mean())


def _running_mean(values: Array) -> Array:
    """Means of the first 1, 2, ... numbers without NaN; 0 before the first number, 1 where there is none at all."""
    defined = ~np.isnan(values)
    if not defined.any():
        return np.ones_like(values)
    return np.asarray(np.nancumsum(values) / np.maximum(np.cumsum(defined), 1), dtype=np.float64)


def match_errors(truth: Truth, detections: Results, period: float) -> dict[str, Array]:
    """The five errors of matched boxes.

    Args:
        truth: m true boxes.
        detections: The m boxes that took them, in the same order.
        period: In rad: a heading that is wrong by this is right.

    Returns:
        Each [m]: ATE, the distance over ground in m; ASE, 1 - overlap of the boxes laid on each other; AOE, the angle
        in rad; AVE, the difference of velocities in m/s; AAE, 1 where the attribute is wrong. NaN where a velocity is
        unknown or the true box has no attribute.
    """
    common = np.minimum(truth.sizes, detections.sizes).prod(1)
    turned = (truth.yaws - detections.yaws + period / 2) % period - period / 2
    wrong = (truth.attributes != detections.attributes).astype(np.float64)
    return {
        "ATE": np.linalg.norm(truth.centers[:, :2] - detections.centers[:, :2], axis=1),
        "ASE": 1 - common / (truth.sizes.prod(1) + detections.sizes.prod(1) - common),
        "AOE": np.abs(turned),
        "AVE": np.linalg.norm(truth.velocities - detections.velocities, axis=1),
        "AAE": np.where(truth.attributes == "", np.nan, wrong),
    }
