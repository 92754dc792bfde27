"""What detectors in images and in space have in common: pixels as backbones take them, and evaluation in chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Tensor, nn

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of the channels of ImageNet's photographs, for pixels of 0 ... 1."""

_WHITE = 255.0

Detected = TypeVar("Detected")
"""The detections in one image, or at one sample."""
Scores = TypeVar("Scores")
"""Everything that an evaluation says."""


class DetectorBase(nn.Module):
    """A detector's images: uint8, or 0 ... 1, brought to what its backbone expects.

    Args:
        mean: Of each channel of pixels 0 ... 1.
        std: Deviation of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float] = IMAGENET_MEAN, std: Sequence[float] = IMAGENET_STD) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def standardise(self, images: Tensor) -> Tensor:
        """Pixels as the backbone takes them: mean 0 and deviation 1 over photographs."""
        return (self.unit_range(images) - self.mean) / self.std

    def unit_range(self, images: Tensor) -> Tensor:
        """Pixels 0 ... 1 of images that are uint8, or have this range already."""
        return images.to(self.mean.dtype) / _WHITE if images.dtype == torch.uint8 else images


class DetectorProtocol(Protocol):
    """A detector that can be trained. Where it has a true `takes_targets`, its forward pass needs them."""

    @property
    def mean(self) -> Tensor:
        """Mean of the pixels that it expects, on its device."""
        ...

    def loss(self, output: Any, targets: Tensor) -> Tensor:
        """Loss of a batch, a scalar; the targets are padded, with label -1 where there is no object.

        Args:
            output: Output of the forward pass.
            targets: Padded targets of the batch.
        """
        ...


class DetectionObjective(ABC, Generic[Detected, Scores]):
    """Loss and evaluation of a detector.

    Args:
        detector: The one that is trained or measured.
        chunk: Images or samples that are evaluated at once; bounds memory.
    """

    metric: str
    higher_is_better = True

    def __init__(self, detector: DetectorProtocol, chunk: int = 8) -> None:
        self.detector, self.chunk = detector, chunk

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """Loss of the detector, a scalar.

        Args:
            outputs: Output of its forward pass.
            targets: Padded targets of the batch.
        """
        return self.detector.loss(outputs, targets)

    def evaluate(self, model: nn.Module, data: Any) -> dict[str, float]:
        """Mean `loss`, and the metrics of the problem by their names.

        Args:
            model: The detector, or a module around it.
            data: The set, of images or of samples.
        """
        detections, loss = self.predict(model, data)
        return {"loss": loss, **self.means(self.score(data, detections))}

    def measure(self, model: nn.Module, data: Any) -> tuple[Scores, list[Detected]]:
        """Everything that the evaluation says, and the detections.

        Args:
            model: The detector, or a module around it.
            data: The set, of images or of samples.
        """
        detections, _ = self.predict(model, data)
        return self.score(data, detections), detections

    @torch.no_grad()
    def predict(self, model: nn.Module, data: Any) -> tuple[list[Detected], float]:
        """Detections in every image or at every sample of a set, on the CPU, and the mean loss.

        Args:
            model: The detector, or a module around it.
            data: The set, of images or of samples.
        """
        was_training = model.training
        model.eval()
        detections: list[Detected] = []
        total, device = 0.0, self.detector.mean.device
        for indices in torch.split(torch.arange(len(data)), self.chunk):
            inputs = data.images[indices.to(data.images.device)].to(device)
            targets = data.labels[indices.to(data.labels.device)].to(device)
            output = model(inputs, targets) if getattr(model, "takes_targets", False) else model(inputs)
            total += float(self.loss(output, targets)) * len(indices)
            detections += self.detections(output, data, indices)
        model.train(was_training)
        return detections, total / len(data)

    @abstractmethod
    def detections(self, output: Any, data: Any, indices: Tensor) -> list[Detected]:
        """Detections of one batch, on the CPU.

        Args:
            output: Output of the detector.
            data: The set that the batch is of.
            indices: Places of the batch in it, int64 [k], on the CPU.
        """

    @abstractmethod
    def score(self, data: Any, detections: Sequence[Detected]) -> Scores:
        """Compare the detections of a whole set with its true boxes.

        Args:
            data: The set, of images or of samples.
            detections: Detections in each of its images or at each of its samples.
        """

    @abstractmethod
    def means(self, scores: Scores) -> Mapping[str, float]:
        """The metrics by their names, the primary one among them."""
