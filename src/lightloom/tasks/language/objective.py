"""The next character: cross entropy, and bits per character."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.tasks.language.windows import TextWindows


class NextCharacter:
    """Prediction of the character that follows each position of a window.

    Args:
        chunk: Windows evaluated at once; bounds memory.
    """

    metric: ClassVar[str] = "bits_per_character"
    higher_is_better: ClassVar[bool] = False

    def __init__(self, chunk: int = 256) -> None:
        self.chunk = chunk

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross entropy in nats over all positions.

        Args:
            outputs: Logits [batch, positions, characters].
            targets: Numbers of the characters that follow, int64 [batch, positions].
        """
        return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())

    @torch.no_grad()
    def evaluate(self, model: nn.Module, windows: TextWindows) -> dict[str, float]:
        """How well a model foretells a text.

        Args:
            model: From numbers [windows, context] to logits [windows, context, characters].
            windows: Of the text.

        Returns:
            `loss` in nats per character, `bits_per_character`, which is the same over ln 2, and `top1`, the share of
            positions where the likeliest character is the one that follows.
        """
        was_training = model.training
        model.eval()
        nats, right = 0.0, 0
        for inputs, targets in zip(
            torch.split(windows.inputs, self.chunk), torch.split(windows.targets, self.chunk), strict=True
        ):
            logits = model(inputs)
            nats += float(self.loss(logits, targets)) * targets.numel()
            right += int((logits.argmax(-1) == targets).sum())
        model.train(was_training)
        count = windows.targets.numel()
        loss = nats / count
        return {"loss": loss, "bits_per_character": loss / math.log(2), "top1": right / count}
