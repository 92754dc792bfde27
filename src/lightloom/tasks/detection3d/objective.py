"""Detection in space as the training engine sees it: a loss for a batch, and the nuScenes figures for a set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightloom.data.multicamera import MultiCameraSet
from lightloom.data.nuscenes import Moment
from lightloom.metrics.nuscenes import Figures, Results, evaluate, found_of, truth_of
from lightloom.tasks.detection3d.decode import Boxes
from lightloom.tasks.detection3d.detector import Detector3D


class Detect3D:
    """Detection of boxes around a vehicle.

    Args:
        detector: That is trained or measured.
        chunk: Moments looked at together when measuring; bounds memory.
    """

    def __init__(self, detector: Detector3D, chunk: int = 8) -> None:
        self.detector, self.chunk = detector, chunk

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """That of the detector."""
        return self.detector.loss(outputs, targets)

    def evaluate(self, model: nn.Module, images: MultiCameraSet) -> dict[str, float]:
        """Mean `loss`, the nuScenes figures, and NDS once more as `accuracy`."""
        detections, loss = self.predict(model, images)
        figures = evaluate_moments(images.moments, detections)
        return {"loss": loss, "accuracy": figures.NDS, **figures.means}

    def measure(self, model: nn.Module, images: MultiCameraSet) -> tuple[Figures, list[Boxes]]:
        """All nuScenes figures, and the boxes in the ego frame of each moment."""
        detections, _ = self.predict(model, images)
        return evaluate_moments(images.moments, detections), detections

    @torch.no_grad()
    def predict(self, model: nn.Module, images: MultiCameraSet) -> tuple[list[Boxes], float]:
        """Boxes at each moment, in its ego frame, and the mean loss."""
        was_training = model.training
        model.eval()
        detections: list[Boxes] = []
        total = 0.0
        for indices in torch.split(torch.arange(len(images)), self.chunk):
            views = images.images[indices.to(images.labels.device)].to(self.detector.mean.device)
            targets = images.labels[indices.to(images.labels.device)].to(self.detector.mean.device)
            output = model(views)
            total += float(self.loss(output, targets)) * len(indices)
            detections += [Boxes(*(part.cpu() for part in each)) for each in self.detector.detect(output)]
        model.train(was_training)
        return detections, total / len(images)


def evaluate_moments(moments: Sequence[Moment], detections: Sequence[Boxes]) -> Figures:
    """NDS and what it is made of.

    Args:
        moments: What was there.
        detections: Boxes at each moment, in its ego frame.
    """
    reference = truth_of(moments)
    return evaluate(reference.truth, results_of(moments, detections), reference.ego, reference.racks)


def results_of(moments: Sequence[Moment], detections: Sequence[Boxes]) -> Results:
    """Boxes found at each moment in its ego frame, in the global frame and with the likely attributes."""
    return found_of(
        moments,
        [np.asarray(each.boxes.numpy(), dtype=np.float64) for each in detections],
        [np.asarray(each.scores.numpy(), dtype=np.float64) for each in detections],
        [each.labels.numpy() for each in detections],
    )
