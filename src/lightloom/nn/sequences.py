"""Layers of sequence models on tensor cores: 1-D convolutions, and the projections that GPT-2 is made of."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.common.arguments import checked
from lightloom.nn.core import TensorCore
from lightloom.nn.layers import OpticalConv2d, OpticalLinear


class OpticalConv1d(OpticalConv2d):
    """A 1-D convolution on photonic tensor cores, in the place of `torch.nn.Conv1d`; every argument of it is taken.

    It is a 2-D convolution of pictures that are one pixel high.

    Args:
        *args: As `torch.nn.Conv1d`.
        chip: The hardware, or the name of a preset.
        name: Place on the chip.
        start: Layer of this geometry to take weight and bias from; None draws them as torch does.
        core: Tensor core to share as it is, in the place of one that is programmed to the weight.
        **kwargs: As `torch.nn.Conv1d`.

    Shapes: [batch, in_channels, length] -> [batch, out_channels, length'].
    """

    @checked
    def __init__(
        self,
        *args: Any,
        chip: Chip | str,
        name: str = "core",
        start: nn.Conv1d | None = None,
        core: TensorCore | None = None,
        **kwargs: Any,
    ) -> None:
        start = nn.Conv1d(*args, **kwargs) if start is None else start
        super().__init__(chip=chip, name=name, start=_flat(start), core=core)

    @classmethod
    @checked
    def from_electronic(  # type: ignore[override]
        cls, layer: nn.Conv1d, chip: Chip | str, name: str = "core", core: TensorCore | None = None
    ) -> OpticalConv1d:
        """The optical form of a `torch.nn.Conv1d`, programmed to its weight."""
        return cls(chip=chip, name=name, start=layer, core=core)

    def to_electronic(self) -> nn.Conv1d:  # type: ignore[override]
        """A `torch.nn.Conv1d` with the effective weight."""
        along = {field: value[-1] if isinstance(value, tuple) else value for field, value in self.geometry.items()}
        return self.filled(nn.Conv1d(**along, bias=self.bias is not None, device="meta"))

    @property
    def weight(self) -> Tensor:
        """[out_channels, in_channels / groups, length]."""
        return super().weight.squeeze(-2)

    def forward(self, x: Tensor) -> Tensor:
        """[batch, in_channels, length] -> [batch, out_channels, length']."""
        return super().forward(x.unsqueeze(-2)).squeeze(-2)


def _flat(layer: nn.Conv1d) -> nn.Conv2d:
    """The same convolution of pictures that are one pixel high."""
    padding = layer.padding if isinstance(layer.padding, str) else (0, layer.padding[0])
    with torch.device("meta"):
        made = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            (1, layer.kernel_size[0]),
            (1, layer.stride[0]),
            padding,
            (1, layer.dilation[0]),
            layer.groups,
            bias=False,
            padding_mode=layer.padding_mode,
        )
    made.weight, made.bias = nn.Parameter(layer.weight.detach().unsqueeze(-2)), layer.bias
    return made


class OpticalProjection(OpticalLinear):
    """y = x W + b with W [inputs, outputs] on photonic tensor cores, in the place of `Conv1D` of transformers.

    It is made by `from_electronic`, which remembers the class that it came from.

    Shapes: [..., inputs] -> [..., outputs].
    """

    electronic: type[nn.Module]
    """Class of the layer that this one stands for."""

    @classmethod
    @checked
    def from_electronic(
        cls, layer: nn.Module, chip: Chip | str, name: str = "core", core: TensorCore | None = None
    ) -> OpticalProjection:
        """The optical form of a `Conv1D`, programmed to its weight."""
        weight, bias = layer.weight, layer.bias
        if not isinstance(weight, Tensor) or not isinstance(bias, Tensor):
            raise TypeError(f"a {type(layer).__name__} without weight or bias is no projection")
        columns, rows = weight.shape
        start = nn.Linear(columns, rows, device="meta")
        start.weight, start.bias = nn.Parameter(weight.detach().T), nn.Parameter(bias.detach())
        made = cls(columns, rows, chip=chip, name=name, start=start, core=core)
        made.electronic = type(layer)
        return made

    def to_electronic(self) -> nn.Module:  # type: ignore[override]
        """The layer that this one was made of, with the effective weight."""
        with torch.device("meta"):
            layer = self.electronic(self.out_features, self.in_features)
        return self.filled(layer)

    @property
    def weight(self) -> Tensor:
        """[inputs, outputs]."""
        return super().weight.T


def is_projection(module: nn.Module) -> bool:
    """Whether this is `Conv1D` of transformers, y = x W + b with W [inputs, outputs]; nothing is imported for it."""
    kind = type(module)
    return kind.__name__ == "Conv1D" and kind.__module__.partition(".")[0] == "transformers"
