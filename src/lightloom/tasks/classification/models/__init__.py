"""Classifiers, built from sizes alone.

There are small ones for quick work, the networks of L2ight (Gu et al., NeurIPS 2021), and networks that light computes
from end to end (Guo et al., Photonics Research 2021).

Every one ends in a linear layer called `head`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from lightloom.common.errors import RequestError, nearest
from lightloom.tasks.classification.models.cnn import cnn, cnn_l, cnn_s
from lightloom.tasks.classification.models.init_scaling import scale_to_half_transmission
from lightloom.tasks.classification.models.mlp import mlp
from lightloom.tasks.classification.models.optical import InputScale, optical_cnn, optical_mlp
from lightloom.tasks.classification.models.resnet import resnet18
from lightloom.tasks.classification.models.vgg import vgg8, vgg13

__all__ = ["MODELS", "InputScale", "build", "replace_head", "scale_to_half_transmission"]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "cnn": cnn,
    "mlp": mlp,
    "cnn-s": cnn_s,
    "cnn-l": cnn_l,
    "vgg8": vgg8,
    "vgg13": vgg13,
    "resnet18": resnet18,
    "optical-mlp": optical_mlp,
    "optical-cnn": optical_cnn,
}

_OPTICAL = ("optical-mlp", "optical-cnn")


def build(
    name: str,
    *,
    shape: tuple[int, ...],
    classes: int,
    width: int | None = None,
    depth: int | None = None,
    activation: Callable[[], nn.Module] | None = None,
    input_scale: float = 1.0,
) -> nn.Module:
    """A classifier by name, with weights drawn from torch's global generator.

    Args:
        name: One of `MODELS`.
        shape: Of an image, (channels, height, width).
        classes: Outputs.
        width: Channels or units of the first layer, the others in proportion; None is the model's own.
        depth: Hidden layers of `optical-mlp`, convolutions of `optical-cnn`; None is the model's own.
        activation: Makes one activation of an optical model; None is ReLU.
        input_scale: Factor of the pixels that enter an optical model.

    Raises:
        RequestError: There is no such model (the nearest name is given), the images are too small for it, or it does
            not take one of the last three.
    """
    if name not in MODELS:
        raise RequestError(f"There is no model `{name}`. {nearest(name, MODELS)}")
    channels, height, breadth = shape
    sizes: dict[str, Any] = {} if width is None else {"width": width}
    optical: dict[str, Any] = {} if depth is None else {"depth": depth}
    optical |= {} if activation is None else {"activation": activation}
    optical |= {} if input_scale == 1 else {"input_scale": input_scale}
    if optical and name not in _OPTICAL:
        raise RequestError(
            f"The model `{name}` takes no {' or '.join(f'`{key}`' for key in optical)}; "
            f"leave it away, or choose {' or '.join(f'`{other}`' for other in _OPTICAL)}."
        )
    sized: dict[str, dict[str, Any]] = {
        "mlp": {"pixels": height * breadth},
        "optical-mlp": {"pixels": height * breadth},
        "optical-cnn": {"side": (height, breadth)},
        "cnn-s": {"side": (height, breadth)},
        "vgg8": {"side": min(height, breadth)},
        "vgg13": {"side": min(height, breadth)},
    }
    return MODELS[name](channels, classes, **sizes, **optical, **sized.get(name, {}))


def replace_head(model: nn.Module, classes: int) -> None:
    """Put a new last layer with other classes into a model of `MODELS`, drawn from torch's global generator.

    Args:
        model: A model of `MODELS`, changed in place.
        classes: Number of new classes.

    Raises:
        ValueError: The model has no linear layer called `head`.
    """
    head = getattr(model, "head", None)
    if not isinstance(head, nn.Linear):
        raise ValueError(f"{type(model).__name__} has no linear layer called `head`")
    model.head = nn.Linear(head.in_features, classes, head.bias is not None)
