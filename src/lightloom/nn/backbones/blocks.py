"""What an optical stage is made of: diffractive convolutions between what stays electronic, and noise of its features.

Source: the hybrid detector PHOENIX ("Distilling hybrid opto-electronic detectors", 2025), whose block this is.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Literal

import torch
from torch import Tensor, nn

from lightloom.chips import DiffractiveChip
from lightloom.common.errors import RequestError
from lightloom.nn.backbones.config import HybridConfig
from lightloom.nn.diffractive.conv import DiffractiveConv2d

NoiseMode = Literal["train", "eval"]

_GROUP_WIDTH = 16


def light(inputs: int, outputs: int, chip: DiffractiveChip, optics: HybridConfig) -> DiffractiveConv2d:
    """The diffractive convolution of this chip and arrangement.

    Args:
        inputs: Channels that come in.
        outputs: Channels that leave.
        chip: Diffractive hardware.
        optics: Its mixing, groups, bias and memory.
    """
    layer = DiffractiveConv2d(inputs, outputs, chip, mixing=optics.mixing, groups=optics.groups, bias=optics.bias)
    layer.memory_mb = optics.memory_mb
    return layer


class FeatureNoise(nn.Module):
    """Adds noise to some elements of a map, as a detector plane that is read out badly would.

    Args:
        std: Of the normal noise.
        fraction: Share of the elements that get some.
        modes: When: while training, while evaluating, or both. Published is both.

    Raises:
        RequestError: A number is out of range, or there is no such mode.
    """

    def __init__(
        self, std: float = 1.0, fraction: float = 0.05, modes: tuple[NoiseMode, ...] = ("train", "eval")
    ) -> None:
        super().__init__()
        if not (0 <= std < math.inf and 0 <= fraction <= 1):
            raise RequestError(
                f"Feature noise of std {std} on a fraction {fraction}; give a std of 0 or above and 0 to 1."
            )
        if unknown := set(modes) - {"train", "eval"}:
            raise RequestError(f"Feature noise has no mode `{min(unknown)}`; give `train`, `eval` or both.")
        self.std, self.fraction, self.modes = std, fraction, modes

    def forward(self, x: Tensor) -> Tensor:
        """Any shape -> the same."""
        if self.std == 0 or ("train" if self.training else "eval") not in self.modes:
            return x
        hit = torch.rand_like(x) < self.fraction
        return x + self.std * torch.randn_like(x) * hit

    def extra_repr(self) -> str:
        """Parameters of the noise, for `print`."""
        return f"std={self.std:g}, fraction={self.fraction:g}, modes={self.modes}"


class OpticalBlock(nn.Module):
    """A diffractive convolution and a strided electronic one, beside a shortcut.

    With `before_downsample` light comes first: optics, batch norm, ReLU, grouped 3x3 convolution with the stride, batch
    norm. Without, a full 3x3 convolution makes the map smaller first: convolution, batch norm, ReLU, optics and batch
    norm.

    Args:
        inputs: Channels.
        outputs: Channels.
        stride: Of the electronic convolution and the shortcut.
        chip: That does the optics.
        optics: How its light is arranged.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, chip: DiffractiveChip, optics: HybridConfig) -> None:
        super().__init__()
        optical = light(inputs, outputs, chip, optics)
        if optics.before_downsample:
            groups = outputs // math.gcd(outputs, _GROUP_WIDTH)
            shrink = nn.Conv2d(outputs, outputs, 3, stride, padding=1, groups=groups, bias=False)
            parts = OrderedDict(
                optics=optical,
                norm1=nn.BatchNorm2d(outputs),
                relu=nn.ReLU(),
                conv=shrink,
                norm2=nn.BatchNorm2d(outputs),
            )
        else:
            shrink = nn.Conv2d(inputs, inputs, 3, stride, padding=1, bias=False)
            parts = OrderedDict(
                conv=shrink, norm1=nn.BatchNorm2d(inputs), relu=nn.ReLU(), optics=optical, norm2=nn.BatchNorm2d(outputs)
            )
        self.path = nn.Sequential(parts)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(outputs)))
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """[B, inputs, h, w] -> [B, outputs, h / stride, w / stride]."""
        output: Tensor = self.relu(self.path(x) + self.shortcut(x))
        return output


class OpticalStage(nn.Sequential):
    """Optical blocks in a row, noise of the features if any, and a 1x1 convolution back to a width if one is asked for.

    Args:
        blocks: The first of them has the stage's stride.
        noise: Of the features that leave the last block.
        restore: Channels to come back to; None keeps those of the blocks.
    """

    def __init__(
        self, blocks: list[OpticalBlock], noise: FeatureNoise | None = None, restore: tuple[int, int] | None = None
    ) -> None:
        parts: OrderedDict[str, nn.Module] = OrderedDict((f"block{n}", block) for n, block in enumerate(blocks))
        if noise is not None:
            parts["noise"] = noise
        if restore is not None:
            parts["restore"] = nn.Conv2d(*restore, 1)
        super().__init__(parts)
