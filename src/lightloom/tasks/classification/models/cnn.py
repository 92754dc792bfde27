"""Small convolutional networks, and how all of them stack convolution, norm and activation."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def stage(number: int, inputs: int, outputs: int, stride: int = 1, *, clip: float | None = 6) -> dict[str, nn.Module]:
    """A 3x3 convolution without bias, batch norm and ReLU, named by their number.

    Args:
        number: Of the stage, from 1.
        inputs: Channels.
        outputs: Channels.
        stride: Of the convolution.
        clip: Largest activation: a detector and its converter saturate. None is a plain ReLU.
    """
    return {
        f"conv{number}": nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        f"norm{number}": nn.BatchNorm2d(outputs),
        f"relu{number}": nn.ReLU() if clip is None else nn.Hardtanh(0.0, clip),
    }


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
        layers |= stage(number, inputs, outputs, stride, clip=None)
    layers |= {"pool": nn.AdaptiveAvgPool2d(2), "flatten": nn.Flatten(), "head": nn.Linear(8 * width, classes)}
    return nn.Sequential(layers)


def cnn_s(channels: int, classes: int, width: int = 8, side: tuple[int, int] = (16, 16)) -> nn.Module:
    """The CNN-S of L2ight: two 3x3 convolutions of stride 2 with 8 and 6 channels, then one linear layer.

    Args:
        channels: Of the image.
        classes: Outputs.
        width: Channels of the first convolution; the second has three quarters of it.
        side: Height and width of the image; published are 16 x 16.
    """
    second = max(1, 3 * width // 4)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers |= stage(1, channels, width, 2)
    layers |= stage(2, width, second, 2)
    positions = -(-side[0] // 4) * -(-side[1] // 4)
    layers |= {"flatten": nn.Flatten(), "head": nn.Linear(second * positions, classes)}
    return nn.Sequential(layers)


def cnn_l(channels: int, classes: int, width: int = 64) -> nn.Module:
    """The CNN-L of L2ight: three 3x3 convolutions of 64 channels, clipped at 4, then a linear layer on 5x5 positions.

    Args:
        channels: Of the image.
        classes: Outputs.
        width: Channels of every convolution.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for number, inputs in enumerate((channels, width, width), 1):
        layers |= stage(number, inputs, width, clip=4)
    layers |= {"pool": nn.AdaptiveAvgPool2d(5), "flatten": nn.Flatten(), "head": nn.Linear(25 * width, classes)}
    return nn.Sequential(layers)
