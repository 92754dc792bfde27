"""A network trained by light alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.nn.all_optical import interference, passes
from lightloom.nn.all_optical.config import OpticalPass
from lightloom.nn.all_optical.passes import Optics, quantise
from lightloom.nn.all_optical.steps import AbsorberStep, Step, WeightStep, is_sequence, parse
from lightloom.physics.execution import eager, forward_mode

OperandRanges = dict[int, range]
"""Indices of the operands of each step among those of all steps, by step."""


class AllOptical(nn.Module):
    """A network whose gradients are measured with light that runs back through it.

    Light carries real fields, signed, whose squares are intensities. Forwards it meets, layer after layer, linear
    operations, weights and absorbers, and its outputs are read by homodyne detection. Their error, the gradient of the
    loss, goes back as light through the same absorbers and the transposed weights. At each weight both beams interfere
    (`interference`), and what a camera sees there is the gradient of that weight; from there on, to the singular values
    of a mesh, the levels of PCM cells or whatever else a weight is made of, it is passed on electronically. Known
    factors, such as the strength of the error light, are divided out.

    What an absorber does to the error light is its `gradient`: "probe" is what hardware does. Error light that is not
    weak (`OpticalPass.probe_intensity`) then saturates the absorber together with the forward light, and changes what
    that finds: both settle to each other in `OpticalPass.sweeps` rounds. With every other `gradient` it saturates
    nothing. With everything in `light` off, gradients are those of autograd through `model`.

    Args:
        model: Weight layers without bias (electronic, with any parametrization, or optical), `SaturableAbsorber`s of
            fields, average pooling, `Flatten`, `Dropout`, `Identity`, other fixed linear modules that say so by an
            attribute `linear_field = True`, and sequences of these. It is held as `model`, not copied. Weight layers
            and absorbers are asked what they do but not called, so that hooks on them do not run.
        light: What is imperfect; may be changed at any time.

    Shapes: those of `model`, with a batch in front.

    Raises:
        RequestError: A layer is of another kind, has a bias or takes intensities.
    """

    @checked
    def __init__(self, model: nn.Sequential, light: OpticalPass | None = None) -> None:
        super().__init__()
        if not is_sequence(model):
            raise RequestError(
                f"An all-optical network is an `nn.Sequential` of layers that light passes in turn, got a "
                f"`{type(model).__name__}`; put its layers into one."
            )
        self.model = model
        self.light = OpticalPass() if light is None else light
        self._steps()

    def forward(self, x: Tensor) -> Tensor:
        """Fields that enter -> outputs as they are read."""
        if torch.amp.is_autocast_available(x.device.type) and torch.is_autocast_enabled(x.device.type):
            # light knows no reduced precision, and a function with a backward of its own is not cast
            with torch.autocast(x.device.type, enabled=False):
                return self._forward(x.float())
        return self._forward(x)

    def _forward(self, x: Tensor) -> Tensor:
        if not eager() or forward_mode():
            return self._transformed(x)
        steps, light = self._steps(), self.light
        saturation = _saturation(steps) if light.active else 1.0
        places, operands = _gather(steps)
        optics = Optics(steps, {}, light, saturation)
        field: Tensor = _Light.apply(x, optics, places, *operands)  # type: ignore[no-untyped-call]
        return interference.read(field, light, saturation)

    def _transformed(self, x: Tensor) -> Tensor:
        """What no beam of light does: `torch.func`, compilation and export, where gradients are those of `model`."""
        if self.light.active:
            raise RequestError(
                "An all-optical network with imperfect light has no transforms of `torch.func`, compilation or export, "
                "for its gradients are measured; set `light` to `OpticalPass()`, or take `model` from it."
            )
        output: Tensor = self.model(x)
        return output

    def _steps(self) -> tuple[Step, ...]:
        # read anew each time: layers may have been replaced, converted or retuned
        return parse(self.model, crossed=self.light.probe_intensity > 0)

    def extra_repr(self) -> str:
        """What is imperfect, for printing a model."""
        ideal = OpticalPass()
        return ", ".join(f"{name}={value}" for name, value in self.light if value != getattr(ideal, name))


class _Light(torch.autograd.Function):
    """Forward light forwards, error light backwards."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, optics: Optics, places: OperandRanges, *operands: Any) -> Tensor:
        modulated = _show(optics, places, operands)
        field, stored = passes.propagate_forward(x, modulated)
        ctx.optics, ctx.places, ctx.modulated = optics, places, tuple(modulated.weights)
        ctx.save_for_backward(x, *stored, *modulated.weights.values())
        return field

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # without this a second derivative would silently be missing
            raise RuntimeError(
                "light measures first derivatives only; leave `create_graph` out, or take higher ones by `torch.func`, "
                "as `torch.func.grad(torch.func.grad(function))`, where nothing is imperfect"
            )
        places: OperandRanges = ctx.places
        x, *saved = ctx.saved_tensors
        stored, weights = saved[: len(ctx.optics.steps)], saved[len(ctx.optics.steps) :]
        optics: Optics = ctx.optics._replace(weights=dict(zip(ctx.modulated, weights, strict=True)))
        to_input, _, _, *needs = ctx.needs_input_grad
        trained = [index for index, own in places.items() if any(needs[place] for place in own)]
        back: Tensor | None = None
        grads: list[Tensor | None] = [None] * len(needs)
        backward_field, scale = passes.inject_error(error, optics)
        stored = passes.solve_counterpropagation(x, backward_field, optics, stored)
        for index, field in passes.propagate_backward(backward_field, optics, stored, -1 if to_input else min(trained)):
            if index == -1:
                back = _divide(field, scale)
            elif index in trained:
                measured = _measure(optics.steps[index], stored[index], field, optics)
                for place, value in zip(places[index], measured, strict=True):
                    grads[place] = _divide(value, scale) if needs[place] else None
        return back, None, None, *grads


def _measure(step: Step, stored: Tensor, backward_field: Tensor, optics: Optics) -> tuple[Tensor, ...]:
    """What both beams say about a step's operands, in units of the error field."""
    if isinstance(step, WeightStep):
        return (interference.measure(step, stored, backward_field, optics.light, optics.saturation),)
    assert isinstance(step, AbsorberStep)
    return step.slopes(stored, backward_field)


def _gather(steps: tuple[Step, ...]) -> tuple[OperandRanges, list[Tensor | float]]:
    """The operands of all steps, and where those of each stand among them."""
    places: OperandRanges = {}
    operands: list[Tensor | float] = []
    for index, step in enumerate(steps):
        own = step.operands() if isinstance(step, WeightStep | AbsorberStep) else ()
        if own:
            places[index] = range(len(operands), len(operands) + len(own))
            operands += own
    return places, operands


def _show(optics: Optics, places: OperandRanges, operands: Sequence[Any]) -> Optics:
    """The same with the weights on the modulators."""
    bits = optics.light.weight_bits
    weights = {i: operands[own[0]] for i, own in places.items() if isinstance(optics.steps[i], WeightStep)}
    return optics._replace(weights=weights if bits is None else {i: quantise(w, bits) for i, w in weights.items()})


def _divide(value: Tensor, scale: Tensor | None) -> Tensor:
    return value if scale is None else value / scale


def _saturation(steps: tuple[Step, ...]) -> float:
    """Saturation intensity of the last absorber; 1 where there is none."""
    return next((step.saturation for step in reversed(steps) if isinstance(step, AbsorberStep)), 1.0)
