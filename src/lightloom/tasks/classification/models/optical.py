"""Networks of weights and saturable absorbers, as light computes them: no bias, no norm, and fields that are pooled.

Widths, order and first weights are those of X. Guo, T. D. Barrett, Z. M. Wang, A. I. Lvovsky, "Backpropagation through
nonlinear units for the all-optical training of neural networks", Photonics Research 9, B71 (2021), and of the code
published with it. Weights of standard deviation 0.1 pass light through media of optical depth 30 or less; for denser
ones, and for propagated light, `lightloom.tasks.classification.scale_to_half_transmission` finds first weights.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError

Activation = Callable[[], nn.Module]
"""Makes one activation; called once for each layer that has one."""

_DENSE_STD, _CONV_STD, _DENSE_AFTER_CONV_STD = 0.1, 0.1, 0.01
_KERNEL = 5
_DROPOUT = 0.4  # share of the flattened fields that is dropped in training
_SMALLEST = 16  # pixels a side that leave 2x2 positions to the last pooling


class InputScale(nn.Module):
    """The amplitude of the light that the images are written into.

    Args:
        factor: Multiplies every pixel.

    Attributes:
        factor: [], in the state of the model: who settles a model changes it.
        linear_field: Tells those who send light through a network that this is a linear operation on fields.

    Raises:
        RequestError: The factor is not positive and finite.
    """

    linear_field = True
    factor: Tensor

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        if not 0 < factor < math.inf:
            raise RequestError(f"The input scale is {factor}; give a positive number: pixels are multiplied by it.")
        self.register_buffer("factor", torch.tensor(float(factor)))

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return x * self.factor

    def extra_repr(self) -> str:
        """What `print` shows in the brackets."""
        return f"factor={float(self.factor):g}"


def optical_mlp(
    channels: int,
    classes: int,
    width: int = 128,
    pixels: int = 784,
    depth: int = 2,
    activation: Activation = nn.ReLU,
    input_scale: float = 1.0,
) -> nn.Sequential:
    """Hidden layers, each with an activation, and a head; 784-128-128-10 is published for MNIST.

    Args:
        channels: Of the image.
        classes: Outputs.
        width: Units of a hidden layer.
        pixels: Of one channel of the image.
        depth: Hidden layers.
        activation: Makes the activation of one layer.
        input_scale: Factor of the pixels; published is 1 for pixels of 0 ... 1.

    Raises:
        RequestError: There is no hidden layer, or the input scale is not positive.
    """
    if depth < 1:
        raise RequestError(f"`optical-mlp` is asked for a depth of {depth}; give at least 1 hidden layer.")
    layers: OrderedDict[str, nn.Module] = OrderedDict(input_scale=InputScale(input_scale), flatten=nn.Flatten())
    for number, (inputs, outputs) in enumerate(pairwise((channels * pixels, *[width] * depth)), 1):
        layers[f"hidden{number}"] = _dense(inputs, outputs, _DENSE_STD)
        layers[f"act{number}"] = activation()
    layers["head"] = _dense(width, classes, _DENSE_STD)
    return nn.Sequential(layers)


def optical_cnn(
    channels: int,
    classes: int,
    width: int = 32,
    side: tuple[int, int] = (28, 28),
    depth: int = 2,
    activation: Activation = nn.ReLU,
    input_scale: float = 1.0,
) -> nn.Sequential:
    """Two 5x5 convolutions, each with activation and average pooling, one hidden layer and a head.

    On 28 x 28 pixels: 32 x 24 x 24, pooled to 12 x 12; 64 x 8 x 8, pooled to 4 x 4; 1024-128-10. Pooling averages
    fields, not intensities, as a lens does.

    Args:
        channels: Of the image.
        classes: Outputs.
        width: Channels of the first convolution; the second has twice as many, the hidden layer four times.
        side: Height and width of the image.
        depth: Convolutions; those beyond 2 are 3x3, padded, of 2 `width` channels, each with its activation, and
            stand before the second pooling.
        activation: Makes the activation of one layer.
        input_scale: Factor of the pixels; published for pixels of 0 ... 1 are 1 with electronic activations, 5 with
            absorbers of optical depth 10 or less, and 15 with denser ones.

    Raises:
        RequestError: The depth is below 2, the image too small, or the input scale not positive.
    """
    if depth < 2:
        raise RequestError(f"`optical-cnn` is asked for a depth of {depth}; give at least 2 convolutions.")
    if min(side) < _SMALLEST:
        raise RequestError(
            f"`optical-cnn` needs {_SMALLEST} pixels a side and got {min(side)}; "
            f"resize by `data.size={_SMALLEST}` or choose another model."
        )
    layers: OrderedDict[str, nn.Module] = OrderedDict(input_scale=InputScale(input_scale))
    layers |= {"conv1": _conv(channels, width, _KERNEL), "act1": activation(), "pool1": nn.AvgPool2d(2)}
    layers |= {"conv2": _conv(width, 2 * width, _KERNEL), "act2": activation()}
    for number in range(3, depth + 1):
        layers |= {f"conv{number}": _conv(2 * width, 2 * width, 3, padding=1), f"act{number}": activation()}
    layers |= {"pool2": nn.AvgPool2d(2), "flatten": nn.Flatten(), "dropout": nn.Dropout(_DROPOUT)}
    fields = 2 * width * math.prod(((pixels - 4) // 2 - 4) // 2 for pixels in side)
    layers["hidden1"] = _dense(fields, 4 * width, _DENSE_AFTER_CONV_STD)
    layers[f"act{depth + 1}"] = activation()
    layers["head"] = _dense(4 * width, classes, _DENSE_AFTER_CONV_STD)
    return nn.Sequential(layers)


def _dense(inputs: int, outputs: int, std: float) -> nn.Linear:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.normal_(layer.weight, std=std)
    return layer


def _conv(inputs: int, outputs: int, kernel: int, padding: int = 0) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=False)
    nn.init.normal_(layer.weight, std=_CONV_STD)
    return layer
