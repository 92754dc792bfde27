"""VGG networks for small images: 3x3 convolutions, and a pooling that halves the image after each stage."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from lightloom.common.errors import RequestError
from lightloom.tasks.classification.models.cnn import stage

_GROWTH = (1, 2, 4, 8, 8)
_SMALLEST = 2 ** len(_GROWTH)


def vgg8(channels: int, classes: int, width: int = 64, side: int = 32) -> nn.Module:
    """The VGG-8 of L2ight and ELight: 64, 128, 256, 512, 512 channels, activations clipped at 6, 3.9 million weights.

    On images of 32 pixels half of the last 512 numbers are dropped in training; on larger ones the positions that are
    left are averaged and none is dropped.

    Args:
        channels: Of the image.
        classes: Outputs.
        width: Channels of the first convolution.
        side: Pixels of the image's shorter side.

    Raises:
        RequestError: The image is too small to be halved five times.
    """
    return _vgg("vgg8", channels, classes, width, side, depth=1)


def vgg13(channels: int, classes: int, width: int = 64, side: int = 32) -> nn.Module:
    """The VGG-13 of ELight: two convolutions in the place of each of `vgg8`, 9.4 million weights.

    Arguments and errors as of `vgg8`.

    Args:
        channels: Channels of the images.
        classes: Number of classes.
        width: Channels of the first convolutions.
        side: Height and width of the images.
    """
    return _vgg("vgg13", channels, classes, width, side, depth=2)


def _vgg(name: str, channels: int, classes: int, width: int, side: int, *, depth: int) -> nn.Module:
    if side < _SMALLEST:
        raise RequestError(
            f"`{name}` halves the image {len(_GROWTH)} times, so it needs {_SMALLEST} pixels a side and got {side}; "
            f"resize by `data.size={_SMALLEST}` or choose another model."
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs, number = channels, 0
    for halving, growth in enumerate(_GROWTH, 1):
        for _ in range(depth):
            number += 1
            layers |= stage(number, inputs, growth * width)
            inputs = growth * width
        layers[f"pool{halving}"] = nn.MaxPool2d(2)
    layers |= {"average": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    if side < 2 * _SMALLEST:
        layers["dropout"] = nn.Dropout(0.5)
    layers["head"] = nn.Linear(inputs, classes)
    return nn.Sequential(layers)
