"""Student and teacher as one module, which any training loop trains like the student alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lightloom.common.errors import RequestError, nearest
from lightloom.learn.distil.adapters import Adapters, Stage
from lightloom.learn.distil.config import DistillationConfig
from lightloom.learn.distil.response import Response, check_heads, features_of, response_of


class DistillationOutput(NamedTuple):
    """What one forward pass of a `DistillationModel` gives.

    Attributes:
        student: The student's outputs as its task knows them.
        teacher: The teacher's response, without gradients; None where nothing is distilled.
        response: The student's response; None where nothing is distilled.
        stages: Features of both, comparable; empty where no term compares features.
        distiller_terms: What the distiller adds to the loss, by name, weighted; empty without a distiller or targets.
    """

    student: Any
    teacher: Response | None = None
    response: Response | None = None
    stages: tuple[Stage, ...] = ()
    distiller_terms: Mapping[str, Tensor] = MappingProxyType({})


class StageLayers(NamedTuple):
    """Names of the layers whose outputs are compared, as in `named_modules()`; none where outputs have `features`."""

    student: Sequence[str] = ()
    teacher: Sequence[str] = ()


_OUTPUTS = StageLayers()


class DistillationModel(nn.Module):
    """A student with its teacher at its side.

    The teacher is no submodule: it has no part in parameters, weights on disk or `train()`, yet follows this module
    to another device or type. It is frozen in place (no copy is made): in eval mode from now on, its parameters without
    gradients, and every call of it under `no_grad`. The adapters are new parameters, drawn from torch's generator.

    A distiller is a module of losses that one kind of problem has of its own. It is called as
    `distiller(teacher, student, inputs, targets)`, with the raw outputs of teacher and student and the inputs of the
    student, and returns weighted scalars by name. Its parameters train with the student and are no part of it.

    Args:
        student: The model that is trained. Where it `takes_targets`, so does this module, which hands them on.
        teacher: The model that is imitated. It shares no parameter with the student.
        sample: Inputs of a batch, however small, on the device of both models: both run on it once, in eval mode, to
            see their shapes.
        config: What will be compared; the same as the objective's.
        layers: Layers of both whose outputs are their stages; empty for a model whose outputs have `features`.
        for_teacher: Makes the teacher's inputs of the student's, as where the teacher sees a larger image.
        distiller: Losses of the problem's own, with no parameter of the teacher's; with one, this module takes targets,
            and only with targets it is called.

    Raises:
        RequestError: The teacher shares parameters, a layer is not there, or stages, class scores or boxes do not
            match; the stage or level is named.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module,
        sample: Any,
        config: DistillationConfig,
        *,
        layers: StageLayers = _OUTPUTS,
        for_teacher: Callable[[Any], Any] = lambda inputs: inputs,
        distiller: nn.Module | None = None,
    ) -> None:
        super().__init__()
        _refuse_shared("student", student, teacher)
        if distiller is not None:
            _refuse_shared("distiller", distiller, teacher)
        self.student, self.config = student, config
        self.layers, self.for_teacher = layers, for_teacher
        self.distiller, self.hands_targets = distiller, bool(getattr(student, "takes_targets", False))
        self.takes_targets = self.hands_targets or distiller is not None
        self.distils = True
        self.frozen: tuple[str, ...] = ()
        # within a tuple, so that it is not registered
        self._teacher = (teacher.eval().requires_grad_(False),)
        self.adapters = self._make_adapters(sample, config)

    @property
    def teacher(self) -> nn.Module:
        """The teacher, frozen."""
        return self._teacher[0]

    def forward(self, inputs: Any, targets: Any = None) -> DistillationOutput:
        """Run the student and, where distillation is on, the teacher and the distiller.

        Args:
            inputs: Inputs of the student.
            targets: Targets of the batch, for a student or a distiller that takes them.
        """
        arguments = (inputs, targets) if self.hands_targets and targets is not None else (inputs,)
        outputs, response = _respond(self.student, self.layers.student, arguments, self._frozen_parameters())
        if not self.distils:
            return DistillationOutput(outputs)
        teacher_outputs, teacher = self._teach(inputs)
        stages = () if self.adapters is None else self.adapters(teacher.features, response.features)
        losses: Mapping[str, Tensor] = {}
        if self.distiller is not None and targets is not None:
            losses = self.distiller(teacher_outputs, outputs, inputs, targets)
        return DistillationOutput(outputs, teacher, response, stages, losses)

    def freeze(self, names: Sequence[str]) -> None:
        """Freeze these submodules of the student, and no others.

        They stay in eval mode, so running statistics stay too, and their parameters take no part in the graph: their
        gradient stays None, which an optimiser skips, weight decay and momentum with it. `requires_grad` is left alone,
        so that an optimiser made at any time has all parameters. Gradients still pass through to what comes before.

        Args:
            names: As in `student.named_modules()`; an empty sequence freezes nothing.

        Raises:
            RequestError: The student has no such part.
        """
        parts = dict(self.student.named_modules())
        for name in names:
            if name not in parts or not name:
                top = [part for part in parts if part and part.count(".") < 2]
                raise RequestError(f"The student has no part `{name}` to freeze. {nearest(name, top)}")
        self.frozen = tuple(names)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set the mode as any module does, but leave in eval what is frozen."""
        super().train(mode)
        for name in self.frozen:
            self.student.get_submodule(name).eval()
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        self.teacher._apply(fn, recurse)  # type: ignore[no-untyped-call]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    def _frozen_parameters(self) -> dict[str, Tensor]:
        """The frozen parameters, by name in the student, cut off from the graph."""
        return {
            f"{name}.{inner}": parameter.detach()
            for name in self.frozen
            for inner, parameter in self.student.get_submodule(name).named_parameters()
        }

    @torch.no_grad()
    def _teach(self, inputs: Any) -> tuple[Any, Response]:
        # someone may have called `train` on the module that was handed over
        self.teacher.eval()
        return _respond(self.teacher, self.layers.teacher, (self.for_teacher(inputs),))

    @torch.no_grad()
    def _make_adapters(self, sample: Any, config: DistillationConfig) -> Adapters | None:
        modes = [(module, module.training) for module in self.student.modules()]
        self.student.eval()
        response = _respond(self.student, self.layers.student, (sample,))[1]
        for module, mode in modes:
            module.training = mode
        teacher = self._teach(sample)[1]
        terms = set(config.terms)
        check_heads(teacher, response, logits="logits" in terms, boxes="boxes" in terms)
        if not terms & {"features", "attention", "channels"}:
            return None
        return Adapters(
            teacher.features, response.features, config.stages, adapt=bool(terms & {"features", "channels"})
        )


def _respond(
    model: nn.Module, layers: Sequence[str], arguments: tuple[Any, ...], frozen: Mapping[str, Tensor] | None = None
) -> tuple[Any, Response]:
    """A model's outputs, and its response."""
    with features_of(model, layers) as features:
        outputs = functional_call(model, dict(frozen), arguments) if frozen else model(*arguments)
    silent = [name for name in layers if name not in features]
    if silent:
        raise RequestError(f"Layer `{silent[0]}` did not run, so it gives no features; name another layer.")
    return outputs, response_of(outputs, tuple(features[name] for name in layers))


def _refuse_shared(whose: str, learner: nn.Module, teacher: nn.Module) -> None:
    own = {id(parameter): name for name, parameter in learner.named_parameters()}
    for name, parameter in teacher.named_parameters():
        if id(parameter) in own:
            raise RequestError(
                f"Teacher and {whose} share a parameter, `{name}` and `{own[id(parameter)]}`, and the teacher will be "
                "frozen; hand over a `copy.deepcopy` of it."
            )
