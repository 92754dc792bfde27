"""How a model is trained."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from lightloom.common.config import Section, at_most


class TrainConfig(Section):
    """One training: optimiser, schedule, precision."""

    epochs: Annotated[int, at_most(1_000_000, "the training would not end")] = Field(20, ge=1)
    """Passes over the training images."""
    batch_size: Annotated[int, at_most(1_000_000, "no step holds as many images")] = Field(64, ge=1)
    """Images per step, over all processes together."""
    optimizer: Literal["adamw", "sgd"] = "adamw"
    """AdamW, or SGD with momentum 0.9."""
    nesterov: bool = False
    """Nesterov's form of the momentum of SGD."""
    lr: float = Field(2e-3, gt=0)
    """Highest learning rate."""
    backbone_factor: float = Field(1.0, gt=0)
    """Factor on the learning rate of a detector's backbone: a tenth is usual where its weights come from elsewhere."""
    weight_decay: Annotated[float, at_most(1e3, "weights would change sign at every step")] = Field(1e-2, ge=0)
    """Decoupled (adamw) or added to the gradient (sgd)."""
    schedule: Literal["cosine", "constant", "steps"] = "cosine"
    """cosine falls from `lr` to 0 over the whole training; steps to a tenth after each epoch of `milestones`."""
    milestones: tuple[int, ...] = ()
    """Epochs after which a learning rate in steps falls."""
    warmup: float = Field(0.05, ge=0, lt=1)
    """Share of the steps over which the learning rate first rises from 0."""
    evaluate_every: int = Field(1, ge=1)
    """Epochs between two looks at the validation images; the last epoch always has one."""
    keep: Literal["best", "last"] = "best"
    """Which weights are left in the end: those of the best epoch by validation accuracy, or of the last, as where the
    loss asks for more than accuracy."""
    clip_norm: float | None = Field(None, gt=0)
    """Largest norm of the whole gradient; None leaves it."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16 is for the electronic work; meshes are always built in float32."""

    def learning_rate(self, step: int, steps: int) -> float:
        """Learning rate of step 0 ... steps - 1: a function of the step alone, so there is nothing to save.

        Args:
            step: Number of the step, from 0.
            steps: How many steps the whole training has.
        """
        rise = self.warmup * steps
        if step < rise:
            return self.lr * (step + 1) / (rise + 1)
        if self.schedule == "constant":
            return self.lr
        if self.schedule == "steps":
            epoch = step * self.epochs // steps
            return self.lr * 0.1 ** sum(epoch >= milestone for milestone in self.milestones)
        return self.lr * 0.5 * (1 + math.cos(math.pi * (step - rise) / (steps - rise)))
