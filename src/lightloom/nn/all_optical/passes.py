"""Light on its way through a network, forwards and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.nn.all_optical.config import OpticalPass
from lightloom.nn.all_optical.steps import AbsorberStep, DropoutStep, FieldStep, Step, WeightStep, transpose
from lightloom.physics import converters


class Optics(NamedTuple):
    """What light meets, the same both ways."""

    steps: tuple[Step, ...]
    """Every step of the network, in the order of the forward light."""
    weights: Mapping[int, Tensor]
    """What the modulators show, by step."""
    light: OpticalPass
    """What is imperfect."""
    saturation: float
    """Saturation intensity that `light` is given in."""


def propagate_forward(
    x: Tensor, optics: Optics, probes: Mapping[int, Tensor] | None = None, before: Sequence[Tensor] | None = None
) -> tuple[Tensor, list[Tensor]]:
    """The forward light.

    Args:
        x: Field that enters the network [batch, ...].
        optics: What it meets.
        probes: Intensity of the error light that enters absorbers from the other side, by step.
        before: What an earlier forward light of this pass left, with the dropout masks that hold again.

    Returns:
        The field that leaves, and one tensor per step for the way back: the signals at weights; at absorbers what they
        do to a weak beam, or the field that entered where that is not all; masks of dropout; of other operations a
        dark field of the shape that entered, which takes no memory.
    """
    field, stored = x, []
    for index, step in enumerate(optics.steps):
        if isinstance(step, WeightStep):
            stored.append(step.modulate(field))
            field = step.detect(_lose(step.multiply(stored[-1], optics.weights[index]), optics.light))
        elif isinstance(step, AbsorberStep):
            output, factor = step.layer.respond(field, 0.0 if probes is None else probes.get(index, 0.0))
            stored.append(field if step.keeps_field else factor)
            field = output
        elif isinstance(step, DropoutStep):
            stored.append(step.mask(field) if before is None else before[index])
            field = field * stored[-1]
        else:
            stored.append(field.new_zeros(()).expand(field.shape))
            field = step.layer(field)
    return field, stored


def inject_error(error: Tensor, optics: Optics) -> tuple[Tensor, Tensor | None]:
    """The error field that enters at the end of the network, and how many times the error it is; None is once.

    Args:
        error: Gradient of the loss by the outputs [batch, ...].
        optics: What the light meets.
    """
    light, scale = optics.light, None
    if light.probe_intensity > 0:
        peak = error.abs().amax()
        scale = (light.probe_intensity * optics.saturation) ** 0.5 / torch.where(peak > 0, peak, 1)
        error = error * scale
    return quantise(error, light.error_bits), scale


def quantise(values: Tensor, bits: int | None) -> Tensor:
    """What a modulator shows of all these values, full scale at the largest of them.

    Args:
        values: What is to be shown [...].
        bits: Of the modulator; None is exact.
    """
    return values if bits is None else converters.convert(values, bits, dims=values.ndim)


def propagate_backward(
    backward_field: Tensor, optics: Optics, stored: Sequence[Tensor], last: int
) -> Iterator[tuple[int, Tensor]]:
    """The error light on its way back, as it meets step after step from behind.

    Args:
        backward_field: Field that enters at the end.
        optics: What it meets.
        stored: What the forward light left, see `propagate_forward`.
        last: Where to stop, a step or -1 for the entrance of the network.

    Yields:
        Steps, and the field that meets each; -1 and the field that leaves.
    """
    steps = optics.steps
    for index in range(len(steps) - 1, last - 1, -1):
        if index + 1 < len(steps):
            backward_field = _through(index + 1, backward_field, optics, stored[index + 1])
        if index >= 0 and isinstance(steps[index], WeightStep):
            backward_field = _lose(backward_field, optics.light)
        yield index, backward_field


def solve_counterpropagation(x: Tensor, backward_field: Tensor, optics: Optics, stored: list[Tensor]) -> list[Tensor]:
    """Let forward and backward light come to agree where both saturate the absorbers.

    In every round the forward light meets the error light of the round before.

    Args:
        x: Field that enters the network [batch, ...].
        backward_field: Error field that enters at the end.
        optics: What both meet.
        stored: What the forward light left, see `propagate_forward`.

    Returns:
        What the last forward light leaves.
    """
    crossed = [index for index, step in enumerate(optics.steps) if isinstance(step, AbsorberStep) and step.crossed]
    if crossed:
        for _ in range(optics.light.sweeps - 1):
            fields = propagate_backward(backward_field, optics, stored, crossed[0])
            probes = {index: field.square() for index, field in fields if index in crossed}
            _, stored = propagate_forward(x, optics, probes, stored)
    return stored


def _through(index: int, backward_field: Tensor, optics: Optics, stored: Tensor) -> Tensor:
    """The backward field in front of a step, of the one behind it."""
    step = optics.steps[index]
    if isinstance(step, WeightStep):
        return step.transposed(backward_field, optics.weights[index], stored)
    if isinstance(step, AbsorberStep):
        return backward_field * (
            step.layer.respond(stored, step.probe(backward_field)).factor if step.keeps_field else stored
        )
    return transpose(step.layer, stored, backward_field) if isinstance(step, FieldStep) else backward_field * stored


def _lose(field: Tensor, light: OpticalPass) -> Tensor:
    return field if light.loss_db == 0 else field * light.transmission
