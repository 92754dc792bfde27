"""How good detections are: the average precision of COCO, as faster-coco-eval counts it."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from lightloom.common.errors import RequestError
from lightloom.data.detection import DetectionSet
from lightloom.tasks.detection2d.boxes import Detections, iou

METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""Names of the metrics in COCO's order: precision over overlaps of 0.5 ... 0.95, at two of them, of small, medium and
large objects; recall with 1, 10 and 100 detections in an image, and by size. -1 where there is no object to find."""


_NO_AREA = -1.0  # in no range that is counted
_LEAST_OVERLAP, _MARGIN = 0.5, 1e-3  # the least that COCO's metrics ask for, and what rounding may take off it


@dataclass(frozen=True)
class Precision:
    """What an evaluation found."""

    metrics: dict[str, float]
    """Values of the metrics by the names of `METRICS`, 0 ... 1."""
    per_class: dict[str, float]
    """AP of each class; -1 where the set has none of it."""
    recall: list[float]
    """The 101 recalls that precision is read at."""
    curves: dict[str, list[float]]
    """Precision at these recalls for an overlap of 0.5, by class, and over all as "all"."""


def evaluate(truth: DetectionSet, detections: Sequence[Detections]) -> Precision:
    """Compare detections with a set.

    A crowd takes every detection that lies mostly in it, as COCO has it. A difficult object takes every detection that
    overlaps with it as with a target, as PASCAL VOC has it. What is taken is neither right nor wrong, and neither is
    missed.

    Args:
        truth: Images with what is in them.
        detections: Detections in each of its images, in its order and in pixels of the image.

    Raises:
        RequestError: The numbers of images differ, or faster-coco-eval is not installed.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError:
        raise RequestError(
            "COCO's metrics need `faster-coco-eval`; install it with: pip install 'lightloom[detection]'"
        ) from None
    if len(detections) != len(truth.records):
        raise RequestError(f"There are detections for {len(detections)} images, and the set has {len(truth.records)}.")
    judge = COCOeval_faster(*_as_coco(COCO, truth, detections), "bbox", extra_calc=False)
    with contextlib.redirect_stdout(io.StringIO()):
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    # [overlap, recall, class, size, detections]
    precision = judge.eval["precision"][:, :, :, 0, -1]
    return Precision(
        metrics={name: float(value) for name, value in zip(METRICS, judge.stats, strict=False)},
        per_class={name: _mean(precision[:, :, label]) for label, name in enumerate(truth.classes)},
        recall=[float(recall) for recall in judge.params.recThrs],
        curves=_curves(precision[0], truth.classes),
    )


def _as_coco(kind: Any, truth: DetectionSet, detections: Sequence[Detections]) -> tuple[Any, Any]:
    ground_truth = kind(_judged(truth, detections))
    return ground_truth, ground_truth.loadRes(list(_results(truth, detections)))


def _judged(truth: DetectionSet, detections: Sequence[Detections]) -> dict[str, Any]:
    """The set as the evaluation of COCO counts it.

    That passes over objects outside of a range of areas, so a difficult one has a negative area. It is there as often
    as detections overlap with it, since each takes one.
    """
    page = truth.coco()
    by_image = {record.image_id: own for record, own in zip(truth.records, detections, strict=True)}
    annotations: list[dict[str, Any]] = []
    for entry in page["annotations"]:
        copies = 1
        if entry.pop("ignore", 0):
            entry["area"] = _NO_AREA
            copies = _overlaps(entry, by_image[entry["image_id"]])
        annotations += [{**entry, "id": len(annotations) + number} for number in range(1, copies + 1)]
    return {**page, "annotations": annotations}


def _overlaps(entry: dict[str, Any], detections: Detections) -> int:
    """Detections of an object's class that overlap with it by a half or more, at least 1."""
    x, y, width, height = entry["bbox"]
    box = detections.boxes.new_tensor([[x, y, x + width, y + height]])
    near = iou(box, detections.boxes)[0] >= _LEAST_OVERLAP - _MARGIN
    return max(int((near & (detections.labels == entry["category_id"])).sum()), 1)


def _results(truth: DetectionSet, detections: Sequence[Detections]) -> Iterator[dict[str, Any]]:
    for record, own in zip(truth.records, detections, strict=True):
        for box, score, label in zip(own.boxes.tolist(), own.scores.tolist(), own.labels.tolist(), strict=True):
            yield {
                "image_id": record.image_id,
                "category_id": label,
                "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
                "score": score,
            }


def _mean(precision: Any) -> float:
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else -1.0


def _curves(precision: Any, classes: Sequence[str]) -> dict[str, list[float]]:
    """Precision curves [recall, class] by class; a class of which there is nothing has no curve."""
    present = [label for label in range(len(classes)) if (precision[:, label] > -1).any()]
    curves = {classes[label]: precision[:, label].tolist() for label in present}
    return {"all": precision[:, present].mean(1).tolist(), **curves} if present else {}
