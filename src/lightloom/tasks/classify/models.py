"""Small classifiers, built from sizes alone."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise

from torch import nn

from lightloom.common.errors import RequestError, nearest


def cnn(channels: int, classes: int, width: int = 24) -> nn.Module:
    """Three 3x3 convolutions with batch norm, halving the image twice, then one linear layer on 2x2 positions.

    Args:
        channels: Of the image.
        classes: Outputs.
        width: Channels of the first convolution; the others have twice as many.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    shapes = ((channels, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 2))
    for number, (inputs, outputs, stride) in enumerate(shapes, 1):
        layers[f"conv{number}"] = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        layers[f"norm{number}"] = nn.BatchNorm2d(outputs)
        layers[f"relu{number}"] = nn.ReLU()
    layers |= {"pool": nn.AdaptiveAvgPool2d(2), "flatten": nn.Flatten(), "head": nn.Linear(8 * width, classes)}
    return nn.Sequential(layers)


def mlp(channels: int, classes: int, width: int = 64, pixels: int = 784) -> nn.Module:
    """Two hidden layers with ReLU.

    Args:
        channels: Of the image.
        classes: Outputs.
        width: Units of a hidden layer.
        pixels: Of one channel of the image.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(flatten=nn.Flatten())
    for number, (inputs, outputs) in enumerate(pairwise((channels * pixels, width, width)), 1):
        layers[f"hidden{number}"] = nn.Linear(inputs, outputs)
        layers[f"relu{number}"] = nn.ReLU()
    layers["head"] = nn.Linear(width, classes)
    return nn.Sequential(layers)


MODELS: dict[str, Callable[..., nn.Module]] = {"cnn": cnn, "mlp": mlp}


def build(name: str, *, shape: tuple[int, ...], classes: int, width: int) -> nn.Module:
    """A classifier by name, with weights drawn from torch's global generator.

    Args:
        name: One of `MODELS`.
        shape: Of an image, (channels, height, width).
        classes: Outputs.
        width: As the model takes it.

    Raises:
        RequestError: There is no such model; the nearest name is given.
    """
    if name not in MODELS:
        raise RequestError(f"There is no model `{name}`. {nearest(name, MODELS)}")
    channels, height, breadth = shape
    extra = {"pixels": height * breadth} if name == "mlp" else {}
    return MODELS[name](channels, classes, width, **extra)
