"""The projections that GPT-2 is made of, on tensor cores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.common.arguments import checked
from lightloom.nn.belongings import carry_over
from lightloom.nn.core import TensorCore
from lightloom.nn.layers import MatrixLayer, core_for


class OpticalHFConv1D(MatrixLayer):
    """y = x W + b with W [inputs, outputs] on photonic tensor cores, in the place of `Conv1D` of transformers.

    It is made by `from_electronic`, which remembers the class that it came from.

    Args:
        layer: The layer to take the place of.
        chip: The hardware, or the name of a preset.
        name: Place on the chip.
        core: Tensor core to share as it is, in the place of one that is programmed to the weight.

    Shapes: [..., inputs] -> [..., outputs].
    """

    nf: int
    """Outputs."""
    nx: int
    """Inputs."""
    electronic: type[nn.Module]
    """Class of the layer that this one stands for."""

    @checked
    def __init__(
        self, layer: nn.Module, *, chip: Chip | str, name: str = "core", core: TensorCore | None = None
    ) -> None:
        weight, bias = layer.weight, layer.bias
        if not isinstance(weight, Tensor) or not isinstance(bias, Tensor):
            raise TypeError(f"a {type(layer).__name__} without weight or bias is no projection")
        super().__init__(core or core_for(weight.detach().T, chip, 1, name), bias, weight.dtype)
        carry_over(layer, self)
        self.in_features, self.out_features = weight.shape
        self.electronic = type(layer)

    @classmethod
    @checked
    def from_electronic(
        cls, layer: nn.Module, chip: Chip | str, name: str = "core", core: TensorCore | None = None
    ) -> OpticalHFConv1D:
        """The optical form of a `Conv1D`, programmed to its weight.

        Args:
            layer: The electronic layer.
            chip: The hardware, or the name of a preset.
            name: Place on the chip.
            core: Tensor core to share as it is, in the place of one that is programmed to the weight.
        """
        return cls(layer, chip=chip, name=name, core=core)

    def to_electronic(self) -> nn.Module:
        """The layer that this one was made of, with the effective weight."""
        with torch.device("meta"):
            layer = self.electronic(self.out_features, self.in_features)
        return self.filled(layer)

    def shaped(self, matrix: Tensor) -> Tensor:
        """[inputs, outputs]."""
        return matrix.T


def is_hf_conv1d(module: nn.Module) -> bool:
    """Whether this is `Conv1D` of transformers, y = x W + b with W [inputs, outputs]; nothing is imported for it."""
    kind = type(module)
    return kind.__name__ == "Conv1D" and kind.__module__.partition(".")[0] == "transformers"
