"""ResNet-18 in its form for small images.

Source: He et al., "Deep residual learning for image recognition", CVPR 2016; the first layer is 3x3 without pooling, as
is usual for CIFAR, and activations are clipped at 6 as in L2ight.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn

_CLIP = 6.0


class Residual(nn.Module):
    """Two 3x3 convolutions with norm beside a shortcut.

    Args:
        inputs: Channels.
        outputs: Channels.
        stride: Of the first convolution; the shortcut is a 1x1 convolution with norm where the shape changes.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.Hardtanh(0.0, _CLIP)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs)))
        self.relu2 = nn.Hardtanh(0.0, _CLIP)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs, h, w] -> [n, outputs, h / stride, w / stride]."""
        inner = self.relu1(self.norm1(self.conv1(x)))
        output: Tensor = self.relu2(self.norm2(self.conv2(inner)) + self.shortcut(x))
        return output


def resnet18(channels: int, classes: int, width: int = 64) -> nn.Module:
    """Eight residual blocks of 64, 128, 256, 512 channels, two each: 11.2 million weights.

    Args:
        channels: Of the image.
        classes: Outputs.
        width: Channels of the first convolution.
    """
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(channels, width, 3, padding=1, bias=False),
        norm1=nn.BatchNorm2d(width),
        relu1=nn.Hardtanh(0.0, _CLIP),
    )
    inputs = width
    for number, growth in enumerate((1, 2, 4, 8), 1):
        for half in (1, 2):
            stride = 2 if number > 1 and half == 1 else 1
            layers[f"block{number}_{half}"] = Residual(inputs, growth * width, stride)
            inputs = growth * width
    layers |= {"pool": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten(), "head": nn.Linear(inputs, classes)}
    return nn.Sequential(layers)
