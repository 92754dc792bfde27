"""Detection as the training engine sees it: a loss for a batch, and figures for a set."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lightloom.data.detection import FramedSet
from lightloom.tasks.detection2d.boxes import Detections
from lightloom.tasks.detection2d.evaluate import Precision, evaluate


class Finder(Protocol):
    """A detector, ours or one of `transformers`. Where it has a true `takes_targets`, its forward pass needs them."""

    @property
    def mean(self) -> Tensor:
        """Of the pixels that it expects, on its device."""
        ...

    def loss(self, output: Any, targets: Tensor) -> Tensor:
        """Of a batch, a scalar; targets (x0, y0, x1, y1, label) in pixels [B, most, 5], label -1 for none."""
        ...

    def detect(self, output: Any, frame: tuple[int, int]) -> list[Detections]:
        """Objects in each image of a batch, images of this height and width."""
        ...


class Detect2D:
    """Detection of objects in images.

    Args:
        detector: That is trained or measured.
        chunk: Images looked at together when measuring; bounds memory.
    """

    def __init__(self, detector: Finder, chunk: int = 8) -> None:
        self.detector, self.chunk = detector, chunk

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """That of the detector."""
        return self.detector.loss(outputs, targets)

    def evaluate(self, model: nn.Module, images: FramedSet) -> dict[str, float]:
        """Mean `loss`, COCO's figures, and AP once more as `accuracy`."""
        found, loss = self.look(model, images)
        figures = evaluate(images.source, found).figures
        return {"loss": loss, "accuracy": figures["AP"], **figures}

    def measure(self, model: nn.Module, images: FramedSet) -> tuple[Precision, list[Detections]]:
        """Everything about precision, and the detections in pixels of the images as they were read."""
        found, _ = self.look(model, images)
        return evaluate(images.source, found), found

    @torch.no_grad()
    def look(self, model: nn.Module, images: FramedSet) -> tuple[list[Detections], float]:
        """Detections in each image, in its own pixels, and the mean loss."""
        was_training = model.training
        model.eval()
        found: list[Detections] = []
        total = 0.0
        device = self.detector.mean.device
        for indices in torch.split(torch.arange(len(images)), self.chunk):
            inputs = images.images[indices.to(images.images.device)].to(device)
            targets = images.labels[indices.to(images.labels.device)].to(device)
            output = model(inputs, targets) if getattr(model, "takes_targets", False) else model(inputs)
            total += float(self.loss(output, targets)) * len(indices)
            seen = self.detector.detect(output, (int(inputs.shape[-2]), int(inputs.shape[-1])))
            scales = images.scales[indices.to(images.scales.device)].tolist()
            records = [images.source.records[index] for index in indices.tolist()]
            found += [
                Detections(*(part.cpu() for part in each)).within(scale, record.width, record.height)
                for each, scale, record in zip(seen, scales, records, strict=True)
            ]
        model.train(was_training)
        return found, total / len(images)
