"""Cross-entropy or squared error, and accuracy."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.common.errors import RequestError, nearest
from lightloom.data import ImageSet

Criterion = Literal["cross_entropy", "mse"]
"""What is made small: the cross-entropy of the outputs' softmax, or their mean square distance to a 1 among zeros."""


class Classify:
    """Classification of images by the largest of the model's outputs [batch, classes].

    Args:
        smoothing: Label smoothing of the training loss; for `cross_entropy` alone.
        chunk: Images evaluated at once; bounds memory.
        criterion: `mse` is the mean over images and classes: its gradient is what the outputs differ by, which optics
            and a subtraction measure.

    Raises:
        RequestError: There is no such criterion, or labels are to be smoothed for `mse`.
    """

    metric = "accuracy"
    higher_is_better = True

    def __init__(self, smoothing: float = 0.0, chunk: int = 500, criterion: Criterion = "cross_entropy") -> None:
        if criterion not in get_args(Criterion):
            raise RequestError(f"There is no criterion `{criterion}`. {nearest(criterion, get_args(Criterion))}")
        if smoothing and criterion == "mse":
            raise RequestError(
                f"`smoothing` is {smoothing}, and `mse` takes none; leave it at 0 or take `cross_entropy`."
            )
        self.smoothing = smoothing
        self.chunk = chunk
        self.criterion = criterion

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of [batch, classes] against class numbers [batch].

        Args:
            outputs: Outputs of the model [batch, classes].
            targets: Class numbers [batch].
        """
        return self._loss(outputs, targets, self.smoothing)

    @torch.no_grad()
    def evaluate(self, model: nn.Module, images: ImageSet) -> dict[str, float]:
        """Mean `loss` without smoothing, and `accuracy` as a fraction.

        Args:
            model: The network or detector.
            images: The set to measure on.
        """
        was_training = model.training
        model.eval()
        right, loss = 0, 0.0
        for inputs, targets in zip(
            torch.split(images.images, self.chunk), torch.split(images.labels, self.chunk), strict=True
        ):
            outputs = model(inputs)
            loss += float(self._loss(outputs, targets, smoothing=0.0)) * len(targets)
            right += int((outputs.argmax(1) == targets).sum())
        model.train(was_training)
        return {"loss": loss / len(images.labels), "accuracy": right / len(images.labels)}

    def _loss(self, outputs: Tensor, targets: Tensor, smoothing: float) -> Tensor:
        if self.criterion == "mse":
            return F.mse_loss(outputs, torch.zeros_like(outputs).scatter_(1, targets[:, None], 1.0))
        return F.cross_entropy(outputs, targets, label_smoothing=smoothing)
