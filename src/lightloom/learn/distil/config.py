"""What is learned from a teacher, how strongly, and when."""

from __future__ import annotations

import math
from typing import Literal, Self, get_args

from pydantic import Field, model_validator

from lightloom.common.config import Section

Term = Literal["features", "attention", "channels", "logits", "boxes"]

_ROUNDING = 1e-9


class DistillationConfig(Section):
    """Weights of the terms, and the course of a distillation.

    The defaults are the published ones for hybrid detectors: the mean square difference of features at weight 1, beside
    the task's loss from the first epoch to the last.
    """

    teacher: str = ""
    """Name or path of the teacher; whoever builds the models makes a module of it."""
    features: float = Field(1.0, ge=0)
    """Weight of the mean square difference of features, through an adapter per stage."""
    attention: float = Field(0.0, ge=0)
    """Weight of attention transfer: where in the map the energy is, whatever the channels; no adapter."""
    channels: float = Field(0.0, ge=0)
    """Weight of channel-wise distillation, through the adapters: where in the map each channel looks."""
    temperature: float = Field(1.0, gt=0)
    """Softens the distributions over positions that `channels` compares."""
    logits: float = Field(0.0, ge=0)
    """Weight of the difference of class scores: softmax over [batch, classes], one sigmoid per class in dense maps."""
    logits_temperature: float = Field(1.0, gt=0)
    """Softens the class scores that `logits` compares; 2 to 5 is usual for images with one class."""
    boxes: float = Field(0.0, ge=0)
    """Weight of 1 - GIoU between the boxes of teacher and student where the teacher sees an object."""
    threshold: float = Field(0.1, ge=0, lt=1)
    """The teacher sees an object where its score is above this; for `logits` of dense maps and `boxes`."""
    stages: tuple[int, ...] | None = None
    """Stages of the student that learn, counted from 0; None takes all."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """Whether all weights stay, or fall to 0 over the part of the training that distils, epoch by epoch."""
    strategy: Literal["single", "two"] = "single"
    """`single` adds the terms to the task's loss. `two` first trains on the terms alone, then on the task alone."""
    alone: float = Field(0.5, gt=0, lt=1)
    """Share of the epochs that the first phase of `two` takes."""

    @model_validator(mode="after")
    def _two_phases_need_a_term(self) -> Self:
        if self.strategy == "two" and not self.terms:
            raise ValueError("strategy `two` has nothing to train on first: give a term a weight, or take `single`")
        return self

    @model_validator(mode="after")
    def _stages_are_counted_from_0(self) -> Self:
        if self.stages is not None and (
            not self.stages or min(self.stages) < 0 or len(set(self.stages)) < len(self.stages)
        ):
            raise ValueError("`stages` are different numbers counted from 0, at least one; null takes all")
        return self

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms that have a weight."""
        return tuple(name for name in get_args(Term) if getattr(self, name) > 0)

    def is_alone(self, done: float) -> bool:
        """Whether distillation trains without the task's loss when this share of the training is done."""
        return self.strategy == "two" and done < self.alone - _ROUNDING

    def weight(self, done: float) -> float:
        """Factor of all terms when this share of the training is done: a function of it alone, nothing to save."""
        if self.strategy == "two" and not self.is_alone(done):
            return 0.0
        part = done / self.alone if self.strategy == "two" else done
        if self.schedule == "linear":
            return 1 - part
        return 0.5 * (1 + math.cos(math.pi * part)) if self.schedule == "cosine" else 1.0
