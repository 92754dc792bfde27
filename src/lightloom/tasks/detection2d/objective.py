"""Detection in images as the training engine sees it: a loss for a batch, and COCO's metrics for a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from torch import Tensor

from lightloom.data.detection import LetterboxedSet
from lightloom.tasks.detection2d.base import DetectionObjective, DetectorProtocol
from lightloom.tasks.detection2d.boxes import Detections
from lightloom.tasks.detection2d.evaluate import Precision, evaluate


class Detector2DProtocol(DetectorProtocol, Protocol):
    """A detector in images, ours or one of `transformers`."""

    def detect(self, output: Any, frame: tuple[int, int]) -> list[Detections]:
        """Objects in each image of a batch.

        Args:
            output: Output of the forward pass.
            frame: Height and width of the images in pixels.
        """
        ...


class Detection2DObjective(DetectionObjective[Detections, Precision]):
    """Detection of objects in images; its primary metric is COCO's AP.

    Targets are (x0, y0, x1, y1, label) in pixels [B, most, 5], with label -1 where there is no object.

    Args:
        detector: The one that is trained or measured.
        chunk: Images that are evaluated at once; bounds memory.
    """

    metric = "AP"
    detector: Detector2DProtocol

    def __init__(self, detector: Detector2DProtocol, chunk: int = 8) -> None:
        super().__init__(detector, chunk)

    def detections(self, output: Any, data: LetterboxedSet, indices: Tensor) -> list[Detections]:
        """Detections of one batch, in pixels of the images as they were read, on the CPU.

        Args:
            output: Output of the detector.
            data: The set that the batch is of.
            indices: Places of the batch in it, int64 [k], on the CPU.
        """
        batch = self.detector.detect(output, (int(data.images.shape[-2]), int(data.images.shape[-1])))
        scales = data.scales[indices.to(data.scales.device)].tolist()
        records = [data.source.records[index] for index in indices.tolist()]
        return [
            Detections(*(part.cpu() for part in each)).within(scale, record.width, record.height)
            for each, scale, record in zip(batch, scales, records, strict=True)
        ]

    def score(self, data: LetterboxedSet, detections: Sequence[Detections]) -> Precision:
        """Precision and recall of the detections of a whole set, by COCO's rules.

        Args:
            data: The set.
            detections: Detections in each of its images.
        """
        return evaluate(data.source, detections)

    def means(self, scores: Precision) -> Mapping[str, float]:
        """COCO's twelve metrics by their names."""
        return scores.metrics
