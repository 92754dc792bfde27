"""Networks of linear layers alone."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

from torch import nn


def mlp(channels: int, classes: int, width: int = 64, pixels: int = 784) -> nn.Module:
    """Two hidden layers with ReLU; 784-64-64-10 on MNIST is the MLP of L2ight.

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
