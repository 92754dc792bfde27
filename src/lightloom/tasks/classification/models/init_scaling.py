"""First weights that let light through: scaled layer by layer to what the absorbers need.

Published weights have one deviation for every layer and pass light through thin media of an optical depth up to some
30. Light that is absorbed as it propagates fades to nothing with them: after two cells of depth 30 all outputs are 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.nn import SaturableAbsorber
from lightloom.nn.all_optical.steps import is_sequence, layers_in_turn
from lightloom.tasks.classification.models.optical import InputScale

_OUTPUT_RMS = 0.3  # that of a 1 among nine zeros
_TOLERANCE = 1e-3

Named = tuple[str, nn.Module]
Segment = tuple[list[Named], SaturableAbsorber | None]


@torch.no_grad()
def scale_to_half_transmission(
    model: nn.Sequential, images: Tensor, factor: float = 1.0, *, transmission: float = 1.0
) -> dict[str, float]:
    """Scale the weights so that each absorber gets light that opens it by half.

    From the first layer to the last, the weight before each `SaturableAbsorber` is multiplied by one number, so that
    the root mean square of what enters is `factor` times the absorber's `half_transmission_field`, and the last weight
    so that the outputs' is 0.3. Where an `InputScale` stands in front it is multiplied in the place of the weight:
    Adam's steps are of one size for all weights, and too small for weights of many times their usual deviation. Signs
    and ratios of weights stay, nothing is drawn, and dropout is off. Scale first, then limit or convert.

    Args:
        model: Layers in a row, which may hold such rows.
        images: One batch [n, c, h, w] of what the model is to learn.
        factor: More than 1 opens the absorbers wider.
        transmission: Share of the field that is left behind each weight layer, where light is lost on the way.

    Returns:
        What each weight (or input scale) was multiplied by, by layer name.

    Raises:
        RequestError: The model is not such a row or has no absorber, no light reaches one, a weight before one is no
            free parameter, or what stands between does not pass a larger field on as one.
    """
    if not factor > 0 or math.isinf(factor):
        raise RequestError(f"`factor` is {factor}; give a positive number.")
    segments = list(_segments(model))
    if len(segments) == 1:
        raise RequestError("The model has no `SaturableAbsorber` to scale weights for; give it one as activation.")
    was_training = model.training
    model.eval()
    try:
        return _scale_segments(segments, images, factor, transmission)
    finally:
        model.train(was_training)


def _scale_segments(segments: list[Segment], field: Tensor, factor: float, transmission: float) -> dict[str, float]:
    gains: dict[str, float] = {}
    for layers, absorber in segments:
        target = _OUTPUT_RMS if absorber is None else factor * absorber.half_transmission_field
        gains |= _scale(layers, field, target, transmission)
        field = _through(layers, field, transmission)
        field = field if absorber is None else absorber(field)
    return gains


def _segments(model: nn.Module) -> Iterator[Segment]:
    """Layers up to each absorber, and those after the last one with None."""
    layers: list[Named] = []
    if not is_sequence(model):
        raise RequestError(f"A {type(model).__name__} is no row of layers; scale a `torch.nn.Sequential`.")
    for name, layer in layers_in_turn(model):
        if isinstance(layer, SaturableAbsorber):
            yield layers, layer
            layers = []
        else:
            layers.append((name, layer))
    yield layers, None


def _through(layers: list[Named], field: Tensor, transmission: float) -> Tensor:
    for _, layer in layers:
        field = layer(field)
        if transmission != 1 and getattr(layer, "weight", None) is not None:
            field = field * transmission
    return field


def _scale(layers: list[Named], field: Tensor, target: float, transmission: float) -> dict[str, float]:
    """Scale what can be for a root mean square of `target` after `layers`; that there is nothing is no harm."""
    scalable = _scalable(layers)
    if scalable is None:
        return {}
    name, tensors = scalable
    rms = _rms(_through(layers, field, transmission))
    if not 0 < rms < math.inf:
        raise RequestError(
            f"The light after `{name}` has a root mean square of {rms}; give images with finite pixels that are not "
            "all black, and weights that are not 0."
        )
    for tensor in tensors:
        tensor.mul_(target / rms)
    scaled_rms = _rms(_through(layers, field, transmission))
    if abs(scaled_rms - target) > _TOLERANCE * target:
        raise RequestError(
            f"A larger `{name}` does not make more light in proportion ({scaled_rms:.3g} for {target:.3g}); "
            "only pooling and other linear operations may stand between it and what follows."
        )
    return {name: target / rms}


def _scalable(layers: list[Named]) -> tuple[str, list[Tensor]] | None:
    """Name and tensors of the input scale, or else of the last layer with a weight."""
    for name, layer in layers:
        if isinstance(layer, InputScale):
            return name, [layer.factor]
    for name, layer in reversed(layers):
        weight = getattr(layer, "weight", None)
        if isinstance(layer, nn.Linear | nn.Conv2d) and isinstance(weight, nn.Parameter):
            return name, list(layer.parameters())
        if weight is not None:
            raise RequestError(
                f"`{name}` is a {type(layer).__name__}, whose weight is not free; "
                "scale a model of linear layers and convolutions first, then limit or convert it."
            )
    return None


def _rms(field: Tensor) -> float:
    return float(field.double().square().mean().sqrt())
