"""Classifiers, built from sizes alone: small ones for quick work, and the networks of L2ight (Gu et al., NeurIPS 2021).

Every one ends in a linear layer called `head`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from lightloom.common.errors import RequestError, nearest
from lightloom.tasks.classify.models.cnn import cnn, cnn_l, cnn_s
from lightloom.tasks.classify.models.mlp import mlp
from lightloom.tasks.classify.models.resnet import resnet18
from lightloom.tasks.classify.models.vgg import vgg8, vgg13

__all__ = ["MODELS", "build", "replace_head"]

MODELS: dict[str, Callable[..., nn.Module]] = {
    "cnn": cnn,
    "mlp": mlp,
    "cnn-s": cnn_s,
    "cnn-l": cnn_l,
    "vgg8": vgg8,
    "vgg13": vgg13,
    "resnet18": resnet18,
}


def build(name: str, *, shape: tuple[int, ...], classes: int, width: int | None = None) -> nn.Module:
    """A classifier by name, with weights drawn from torch's global generator.

    Args:
        name: One of `MODELS`.
        shape: Of an image, (channels, height, width).
        classes: Outputs.
        width: Channels or units of the first layer, the others in proportion; None is the model's own.

    Raises:
        RequestError: There is no such model (the nearest name is given), or the images are too small for it.
    """
    if name not in MODELS:
        raise RequestError(f"There is no model `{name}`. {nearest(name, MODELS)}")
    channels, height, breadth = shape
    chosen: dict[str, Any] = {} if width is None else {"width": width}
    sized: dict[str, dict[str, Any]] = {
        "mlp": {"pixels": height * breadth},
        "cnn-s": {"side": (height, breadth)},
        "vgg8": {"side": min(height, breadth)},
        "vgg13": {"side": min(height, breadth)},
    }
    return MODELS[name](channels, classes, **chosen, **sized.get(name, {}))


def replace_head(model: nn.Module, classes: int) -> None:
    """Put a new last layer with other classes into a model of `MODELS`, drawn from torch's global generator.

    Raises:
        ValueError: The model has no linear layer called `head`.
    """
    head = getattr(model, "head", None)
    if not isinstance(head, nn.Linear):
        raise ValueError(f"{type(model).__name__} has no linear layer called `head`")
    model.head = nn.Linear(head.in_features, classes, head.bias is not None)
