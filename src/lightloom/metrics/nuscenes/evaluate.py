"""NDS and what it is made of.

Source: nuScenes detection task, and the devkit 1.2 wherever the description leaves something open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lightloom.common.errors import RequestError, nearest
from lightloom.data.nuscenes import CLASSES
from lightloom.metrics.nuscenes.boxes import Array, Racks, Results, Truth
from lightloom.metrics.nuscenes.curves import RECALLS, average_precision, curve, match_errors, mean_error
from lightloom.metrics.nuscenes.match import match
from lightloom.metrics.nuscenes.rules import DISTANCES, ERROR_DISTANCE, RANGES, in_racks, in_range

ERRORS = ("ATE", "ASE", "AOE", "AVE", "AAE")
"""Names of the errors: of translation in m, scale (1 - overlap), orientation in rad, velocity in m/s, and attribute
(share that is wrong)."""

METRICS = ("NDS", "mAP", "mATE", "mASE", "mAOE", "mAVE", "mAAE")
"""Names of the means; NDS and mAP are better when higher, errors when lower."""

_SENSELESS = {"traffic_cone": ("AOE", "AVE", "AAE"), "barrier": ("AVE", "AAE")}
"""Errors that a class does not have."""

_MAP_WEIGHT = 5


@dataclass(frozen=True)
class NuScenesMetrics:
    """What an evaluation found."""

    NDS: float
    """(5 mAP + sum over errors of max(0, 1 - error)) / 10."""
    mAP: float
    mATE: float
    mASE: float
    mAOE: float
    mAVE: float
    mAAE: float
    present: tuple[str, ...]
    """The classes that have a true box that counts."""
    precisions: dict[str, dict[float, float]]
    """AP by class and distance."""
    errors: dict[str, dict[str, float]]
    """Errors by class and name of `ERRORS`; NaN where the class does not have it."""
    recall: Array
    """[101]: where the curves are read."""
    curves: dict[str, dict[float, Array]]
    """Precision [101] by class and distance."""

    @property
    def means(self) -> dict[str, float]:
        """The means by the names of `METRICS`."""
        return {name: float(getattr(self, name)) for name in METRICS}

    @property
    def per_class(self) -> dict[str, float]:
        """AP of each class, the mean over distances."""
        return {name: float(np.mean(list(values.values()))) for name, values in self.precisions.items()}


def evaluate(
    truth: Truth,
    detections: Results,
    ego: Array,
    racks: Racks | None = None,
    *,
    classes: Sequence[str] = CLASSES,
    absent: Literal["zero", "skip"] = "zero",
) -> NuScenesMetrics:
    """Compare found boxes with true ones.

    Boxes beyond the range of their class, true boxes without a point, and bicycles in racks are left out first.

    Args:
        truth: What was there.
        detections: What was found, in the same frames.
        ego: [samples, 3] in m: the vehicle in these frames.
        racks: Bicycle racks in these frames.
        classes: What labels mean, by nuScenes names.
        absent: A class without a true box that counts has AP 0 and errors 1, as in the devkit ("zero"), or does not
            enter the means ("skip"). An error that no class is left for is 1.

    Raises:
        RequestError: A class has no place in the nuScenes task.
        ValueError: A label or a sample is out of range.
    """
    _check(truth, detections, ego, classes)
    truth = truth.chosen(_counts(truth, ego, racks, classes) & (truth.points != 0))
    detections = detections.chosen(_counts(detections, ego, racks, classes)).best_first()
    precisions: dict[str, dict[float, float]] = {}
    errors: dict[str, dict[str, float]] = {}
    curves: dict[str, dict[float, Array]] = {}
    for label, name in enumerate(classes):
        own = truth.chosen(truth.labels == label), detections.chosen(detections.labels == label)
        curves[name], errors[name] = _of_class(name, *own)
        precisions[name] = {distance: average_precision(values) for distance, values in curves[name].items()}
    present = tuple(name for label, name in enumerate(classes) if np.any(truth.labels == label))
    means = _means(classes if absent == "zero" else present, precisions, errors)
    return NuScenesMetrics(
        **means, present=present, precisions=precisions, errors=errors, recall=RECALLS, curves=curves
    )


def _check(truth: Truth, detections: Results, ego: Array, classes: Sequence[str]) -> None:
    for name in classes:
        if name not in RANGES:
            raise RequestError(f"The nuScenes task has no class `{name}`. {nearest(name, RANGES)}")
    for title, boxes in (("true", truth), ("found", detections)):
        for what, places, count in (("label", boxes.labels, len(classes)), ("sample", boxes.sample, len(ego))):
            if np.any((places < 0) | (places >= count)):
                raise ValueError(f"a {what} of the {title} boxes is not among 0 ... {count - 1}")


def _counts(boxes: Truth | Results, ego: Array, racks: Racks | None, classes: Sequence[str]) -> np.ndarray:
    near = in_range(boxes.sample, boxes.centers, boxes.labels, ego, classes)
    return near if racks is None else near & ~in_racks(boxes.sample, boxes.centers, boxes.labels, racks, classes)


def _of_class(name: str, truth: Truth, detections: Results) -> tuple[dict[float, Array], dict[str, float]]:
    """Precision by distance, and the errors, of the boxes of one class; `detections` by falling scores."""
    partners = match(detections.sample, detections.centers[:, :2], truth.sample, truth.centers[:, :2], DISTANCES)
    curves = {
        distance: curve(partners[level] >= 0, detections.scores, len(truth)) for level, distance in enumerate(DISTANCES)
    }
    places = partners[DISTANCES.index(ERROR_DISTANCE)]
    hits = places >= 0
    period = np.pi if name == "barrier" else 2 * np.pi  # a barrier has no front
    measured = match_errors(truth.chosen(places[hits]), detections.chosen(hits), period)
    confidence = curves[ERROR_DISTANCE].confidence
    errors = {
        error: np.nan if error in _SENSELESS.get(name, ()) else mean_error(values, detections.scores[hits], confidence)
        for error, values in measured.items()
    }
    return {distance: own.precision for distance, own in curves.items()}, errors


def _means(
    classes: Sequence[str], precisions: Mapping[str, Mapping[float, float]], errors: Mapping[str, Mapping[str, float]]
) -> dict[str, float]:
    """The metrics of `METRICS`, over some of the classes."""
    per_class = [float(np.mean(list(precisions[name].values()))) for name in classes]
    average = float(np.mean(per_class)) if per_class else 0.0
    mean_errors = {}
    for error in ERRORS:
        defined = [errors[name][error] for name in classes if not np.isnan(errors[name][error])]
        mean_errors[f"m{error}"] = float(np.mean(defined)) if defined else 1.0
    gained = sum(max(0.0, 1 - value) for value in mean_errors.values())
    score = (_MAP_WEIGHT * average + gained) / (_MAP_WEIGHT + len(ERRORS))
    return {"NDS": score, "mAP": average, **mean_errors}
