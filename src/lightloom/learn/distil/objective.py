"""Distillation as an objective: another objective's loss, and beside it the distance from a teacher."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed import get_world_size, is_available, is_initialized

from lightloom.common.errors import RequestError
from lightloom.learn.distil import terms
from lightloom.learn.distil.adapters import Stage
from lightloom.learn.distil.config import DistillationConfig, Term
from lightloom.learn.distil.model import DistillationModel, DistillationOutput
from lightloom.learn.distil.response import Response
from lightloom.learn.objective import Objective

_DENSE = 3  # axes from which on logits are one sigmoid per class and position


class DistillationObjective:
    """An objective whose loss also asks the student of a `DistillationModel` to be like its teacher.

    Hand it to `fit` with the `DistillationModel`, and `prepare=objective.prepare`. The loss is L_task + w(t) x the
    weighted sum of terms, each summed over stages (features) or averaged over the positions of all levels that
    count (heads); what a distiller of the model adds is one of these terms.
    With strategy `two` it is the terms alone until the share `alone` of the training is done, and L_task alone from
    then on, without running the teacher.

    An objective that itself wraps another, as one that pays for writes, goes around this one.

    Args:
        objective: Loss and metrics of the student itself; its primary metric decides which epoch is best.
        config: Terms, weights, course; the same as the model's.
        frozen: Parts of the student that the first phase of `two` freezes, as its neck and head.

    Raises:
        RequestError: Parts are to be frozen and there is only one phase.
    """

    def __init__(self, objective: Objective, config: DistillationConfig, frozen: Sequence[str] = ()) -> None:
        if frozen and config.strategy != "two":
            raise RequestError(
                f"`frozen` names {', '.join(f'`{name}`' for name in frozen)}, which only strategy `two` freezes; "
                "leave it empty, or take that strategy."
            )
        self.objective, self.config, self.frozen = objective, config, tuple(frozen)
        steady = config.strategy == "single" and config.schedule == "constant"
        self.done: float | None = 0.0 if steady else None

    @property
    def metric(self) -> str:
        """Name of the primary metric, that of the objective which is wrapped."""
        return self.objective.metric

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value of the primary metric is a better model."""
        return self.objective.higher_is_better

    def prepare(self, model: nn.Module, done: float = 0.0) -> None:
        """Set weight and phase for what follows; both are functions of `done`, so a resumed training finds them again.

        Args:
            model: A `DistillationModel`.
            done: Share of the training that is done.

        Raises:
            RequestError: The model is no `DistillationModel` or one for another config, a part to freeze is not there,
                or strategy `two` runs on several processes, which would wait for the gradients of what does not train.
        """
        if not isinstance(model, DistillationModel):
            raise RequestError(
                f"A distillation trains a `DistillationModel`, not a {type(model).__name__}; wrap the student in one."
            )
        if model.config != self.config:
            raise RequestError("The model was built with another config than the objective's; give both the same one.")
        if self.config.strategy == "two" and _processes() > 1:
            raise RequestError(
                "Strategy `two` leaves parts without gradients, which several processes cannot share; "
                "run it on one process, or take strategy `single`."
            )
        self.done = done
        model.distils = (bool(self.config.terms) or model.distiller is not None) and self.config.weight(done) > 0
        model.freeze(self.frozen if self.config.is_alone(done) else ())

    def loss(self, outputs: DistillationOutput, targets: Tensor) -> Tensor:
        """The task's loss, the weighted terms, or their sum, as the phase asks.

        Args:
            outputs: Outputs of the `DistillationModel`.
            targets: Targets of the batch.

        Raises:
            ValueError: The course changes and nobody called `prepare`.
        """
        if self.done is None:
            raise ValueError("the weight or phase changes during training: hand `prepare=objective.prepare` to `fit`")
        weight = self.config.weight(self.done)
        if weight == 0 or not (self.config.terms or outputs.distiller_terms):
            return self.objective.loss(outputs.student, targets)
        pull = [weight * getattr(self.config, name) * term for name, term in self.terms(outputs).items()]
        pull += [weight * term for term in outputs.distiller_terms.values()]
        own = [] if self.config.is_alone(self.done) else [self.objective.loss(outputs.student, targets)]
        return torch.stack([*own, *pull]).sum()

    def evaluate(self, model: nn.Module, data: Any) -> Mapping[str, float]:
        """The metrics of the student alone.

        Args:
            model: The `DistillationModel`, or its student.
            data: The set to measure on.
        """
        return self.objective.evaluate(model.student if isinstance(model, DistillationModel) else model, data)

    def terms(self, outputs: DistillationOutput) -> dict[str, Tensor]:
        """The terms of the config that have a weight, each a scalar before it, by name; for the loss, and for watching.

        Args:
            outputs: Outputs of a model that distils.

        Raises:
            ValueError: They hold no response of the teacher.
        """
        if outputs.teacher is None or outputs.response is None:
            raise ValueError("the outputs hold no response of the teacher: the model's `distils` is off")
        return {name: self._term(name, outputs.teacher, outputs.response, outputs.stages) for name in self.config.terms}

    def _term(self, name: Term, teacher: Response, student: Response, stages: Sequence[Stage]) -> Tensor:
        if name == "logits":
            return self._logits(teacher, student)
        if name == "boxes":
            weight = self._confidence(teacher)
            return terms.boxes_iou(_joined(teacher.boxes), _joined(student.boxes), weight)
        return torch.stack([self._of_stage(name, stage) for stage in stages]).sum()

    def _of_stage(self, name: Term, stage: Stage) -> Tensor:
        if name == "attention":
            return terms.attention_transfer(stage.teacher, stage.student)
        if stage.adapted is None:
            raise ValueError(f"the model has no adapters for `{name}`: give it the config of the objective")
        if name == "features":
            return terms.feature_mse(stage.teacher, stage.adapted)
        return terms.channel_kl(stage.teacher, stage.adapted, self.config.temperature)

    def _logits(self, teacher: Response, student: Response) -> Tensor:
        temperature = self.config.logits_temperature
        teacher_logits, student_logits = teacher.logits or (), student.logits or ()
        if teacher_logits[0].ndim < _DENSE:
            levels = zip(teacher_logits, student_logits, strict=True)
            return torch.stack([terms.logits_kl(one, other, temperature) for one, other in levels]).sum()
        weight = self._confidence(teacher)
        return terms.dense_logits_kl(_joined(teacher_logits), _joined(student_logits), weight, temperature)

    def _confidence(self, teacher: Response) -> Tensor:
        objectness = None if teacher.objectness is None else _joined(teacher.objectness)
        return terms.confidence(_joined(teacher.logits), objectness, self.config.threshold)


def _joined(levels: Sequence[Tensor] | None) -> Tensor:
    """[B, K, ...] per level -> [B, K, N] over all positions."""
    return torch.cat([level.flatten(2) for level in levels or ()], dim=2)


def _processes() -> int:
    return get_world_size() if is_available() and is_initialized() else 1
