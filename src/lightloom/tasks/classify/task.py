"""Cross-entropy and accuracy."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.data import ImageSet


class Classify:
    """Classification of images by the largest of the model's outputs [batch, classes].

    Args:
        smoothing: Label smoothing of the training loss.
        chunk: Images evaluated at once; bounds memory.
    """

    def __init__(self, smoothing: float = 0.0, chunk: int = 500) -> None:
        self.smoothing = smoothing
        self.chunk = chunk

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of [batch, classes] against class numbers [batch]."""
        return F.cross_entropy(outputs, targets, label_smoothing=self.smoothing)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, images: ImageSet) -> dict[str, float]:
        """Mean `loss` without smoothing, and `accuracy` as a fraction."""
        was_training = model.training
        model.eval()
        right, loss = 0, 0.0
        for inputs, targets in zip(
            torch.split(images.images, self.chunk), torch.split(images.labels, self.chunk), strict=True
        ):
            outputs = model(inputs)
            loss += float(F.cross_entropy(outputs, targets, reduction="sum"))
            right += int((outputs.argmax(1) == targets).sum())
        model.train(was_training)
        return {"loss": loss / len(images.labels), "accuracy": right / len(images.labels)}
