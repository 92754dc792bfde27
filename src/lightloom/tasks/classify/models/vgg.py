"""VGG-8: five convolutions, each followed by a pooling that halves the image."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from lightloom.common.errors import RequestError
from lightloom.tasks.classify.models.cnn import stage

_GROWTH = (1, 2, 4, 8, 8)
_SMALLEST = 2 ** len(_GROWTH)


def vgg8(channels: int, classes: int, width: int = 64, side: int = 32) -> nn.Module:
    """The VGG-8 of L2ight: 64, 128, 256, 512, 512 channels of 3x3, activations clipped at 6, 3.9 million weights.

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
    if side < _SMALLEST:
        raise RequestError(
            f"`vgg8` halves the image {len(_GROWTH)} times, so it needs {_SMALLEST} pixels a side and got {side}; "
            f"resize by `data.size={_SMALLEST}` or choose another model."
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inputs = channels
    for number, growth in enumerate(_GROWTH, 1):
        layers |= stage(number, inputs, growth * width)
        layers[f"pool{number}"] = nn.MaxPool2d(2)
        inputs = growth * width
    layers |= {"average": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
    if side < 2 * _SMALLEST:
        layers["dropout"] = nn.Dropout(0.5)
    layers["head"] = nn.Linear(inputs, classes)
    return nn.Sequential(layers)
