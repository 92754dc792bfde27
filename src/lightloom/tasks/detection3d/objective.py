"""Detection in space as the training engine sees it: a loss for a batch, and the nuScenes metrics for a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from lightloom.data.multicamera import MultiCameraSet
from lightloom.data.nuscenes import Sample
from lightloom.metrics.nuscenes import NuScenesMetrics, Results, evaluate, global_results, ground_truth
from lightloom.tasks.detection2d.base import DetectionObjective
from lightloom.tasks.detection3d.decode import Boxes
from lightloom.tasks.detection3d.detector import Detector3D


class Detection3DObjective(DetectionObjective[Boxes, NuScenesMetrics]):
    """Detection of boxes around a vehicle; its primary metric is the nuScenes detection score, NDS.

    Targets are (x, y, z, w, l, h, yaw, vx, vy, label) in the ego frame [B, most, 10], with label -1 where there is no
    object.

    Args:
        detector: The one that is trained or measured.
        chunk: Samples that are evaluated at once; bounds memory.
    """

    metric = "NDS"
    detector: Detector3D

    def __init__(self, detector: Detector3D, chunk: int = 8) -> None:
        super().__init__(detector, chunk)

    def detections(self, output: Any, data: MultiCameraSet, indices: Tensor) -> list[Boxes]:
        """Boxes of one batch, in the ego frame of each sample, on the CPU.

        Args:
            output: Output of the detector.
            data: The set that the batch is of.
            indices: Places of the batch in it, int64 [k], on the CPU.
        """
        return [Boxes(*(part.cpu() for part in each)) for each in self.detector.detect(output)]

    def score(self, data: MultiCameraSet, detections: Sequence[Boxes]) -> NuScenesMetrics:
        """NDS and what it is made of, for the boxes of a whole set.

        Args:
            data: The set.
            detections: Boxes at each of its samples, in its ego frame.
        """
        return evaluate_samples(data.samples, detections)

    def means(self, scores: NuScenesMetrics) -> Mapping[str, float]:
        """NDS, mAP and the five mean errors by their names."""
        return scores.means


def evaluate_samples(samples: Sequence[Sample], detections: Sequence[Boxes]) -> NuScenesMetrics:
    """NDS and what it is made of.

    Args:
        samples: What was there.
        detections: Boxes at each moment, in its ego frame.
    """
    reference = ground_truth(samples)
    return evaluate(reference.truth, results_of(samples, detections), reference.ego, reference.racks)


def results_of(samples: Sequence[Sample], detections: Sequence[Boxes]) -> Results:
    """Detections in the global frame and with the likely attributes.

    Args:
        samples: The samples.
        detections: Boxes at each of them, in its ego frame.
    """
    return global_results(
        samples,
        [np.asarray(each.boxes.numpy(), dtype=np.float64) for each in detections],
        [np.asarray(each.scores.numpy(), dtype=np.float64) for each in detections],
        [each.labels.numpy() for each in detections],
    )
