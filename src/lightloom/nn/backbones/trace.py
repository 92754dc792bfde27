"""What goes into and comes out of each stage of a backbone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError


class StageTrace(NamedTuple):
    """Shapes [B, C, h, w] of one stage."""

    input: tuple[int, ...]
    output: tuple[int, ...]

    @property
    def stride(self) -> int:
        """Pixels of the input to one of the output."""
        return max(round(self.input[axis] / self.output[axis]) for axis in (2, 3))


def stages_of(model: nn.Module) -> nn.ModuleList:
    """The stages of a `Backbone`, or of any backbone of `transformers` with `encoder.stages`.

    Raises:
        RequestError: It has none.
    """
    for name in ("stages", "encoder.stages"):
        try:
            stages = model.get_submodule(name)
        except AttributeError:
            continue
        if isinstance(stages, nn.ModuleList):
            return stages
    raise RequestError(
        f"A {type(model).__name__} has neither `stages` nor `encoder.stages`; give the backbone itself, as "
        "`build_backbone` or a detector of `transformers` holds it."
    )


@contextmanager
def listening(stages: nn.ModuleList) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """A list that fills with (input, output) of each stage, in order, while a model runs."""
    signals: list[tuple[Tensor, Tensor]] = []

    def note(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        signals.append((inputs[0], output))

    hooks = [stage.register_forward_hook(note) for stage in stages]
    try:
        yield signals
    finally:
        for hook in hooks:
            hook.remove()


@torch.no_grad()
def trace_stages(model: nn.Module, sample_shape: tuple[int, int]) -> list[StageTrace]:
    """Run a black image through and write down the shapes at every stage.

    Args:
        model: As for `stages_of`; it is left as it was found.
        sample_shape: Rows and columns of the image.
    """
    modes = {module: module.training for module in model.modules()}
    like = next(model.parameters())
    image = torch.zeros(1, 3, *sample_shape, dtype=like.dtype, device=like.device)
    try:
        with listening(stages_of(model)) as signals:
            model.eval()(image)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return [StageTrace(tuple(x.shape), tuple(y.shape)) for x, y in signals]
