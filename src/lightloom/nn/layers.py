"""Layers whose matrix work is done by a tensor core; they know no technology."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.chips import Chip, technology_of
from lightloom.chips.arguments import core_chip
from lightloom.common.arguments import checked
from lightloom.nn.belongings import carry_over
from lightloom.nn.converter import Converter
from lightloom.nn.core import TensorCore
from lightloom.nn.effective import hand_out, refusal
from lightloom.nn.gradient_sampler import Sampler
from lightloom.nn.inference import normal_tensors
from lightloom.nn.leaf import call_as_leaf, traced
from lightloom.nn.subspace_core import SubspaceCore

Layer = TypeVar("Layer", bound=nn.Module)
_HALVES = (torch.float16, torch.bfloat16)
PRECISIONS = (*_HALVES, torch.float32, torch.float64)
"""Types of weights that can be put on a chip."""


class OpticalLayer(nn.Module, ABC):
    """A tensor core between input and output converters, with an electronic bias.

    Args:
        core: Holds the weight.
        bias: [outputs] added after the detectors, or None.
    """

    bias: nn.Parameter | None
    sampler: Sampler | None
    """Measures a part of the gradient only, in training; None measures all of it."""
    narrow: torch.dtype | None
    """The half precision of the model around it; None where the model has the precision of the core."""
    signal_dims: ClassVar[int] = 1
    """Dimensions of one signal, which has one full scale: a vector."""

    def __init__(self, core: TensorCore, bias: Tensor | None, dtype: torch.dtype | None = None) -> None:
        nn.Module.__init__(self)  # not the electronic layer's, which would draw a weight
        self.core = core
        self.register_parameter("bias", None if bias is None else nn.Parameter(bias.detach().clone()))
        self.register_module("sampler", None)
        self.narrow = dtype if dtype in _HALVES else None
        chip, static = core.chip, core.chip.range == "static"
        self.input_converter = Converter(chip.input_bits, self.signal_dims, intensity=core.intensity, static=static)
        self.output_converter = Converter(chip.output_bits, self.signal_dims, static=static)

    @property
    def chip(self) -> Chip:
        """The hardware."""
        return self.core.chip

    @property
    def weight(self) -> Tensor:
        """The effective weight in the shape and type that torch's layer has, for code that reads it.

        It is read-only, and `direct_reads` tells which modules have computed with it.
        """
        return hand_out(self.effective_weight(), (self,))

    def effective_weight(self) -> Tensor:
        """The weight as evaluation uses it, which nobody may write into."""
        weight = self.shaped(self.core.cached_weight())
        return weight if self.narrow is None else weight.to(self.narrow)

    @abstractmethod
    def shaped(self, matrix: Tensor) -> Tensor:
        """The core's matrix in the shape of the layer's weight."""

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse a weight, which nn.Module would register beside the one that is used. Raises `RequestError`."""
        if name == "weight":
            raise refusal(name, (self,))
        super().__setattr__(name, value)

    def active_sampler(self) -> tuple[Sampler, SubspaceCore] | None:
        """The sampler and the core that it samples, where a gradient is asked for in training."""
        if self.sampler is None or not self.training or not torch.is_grad_enabled():
            return None
        if not isinstance(self.core, SubspaceCore):
            raise ValueError(
                f"core `{self.core.name}` has no singular values, as those of meshes; only their gradients are sampled"
            )
        return self.sampler, self.core

    @abstractmethod
    def to_electronic(self) -> nn.Module:
        """The layer that this one stands for, with the effective weight."""

    def through_optics(self, x: Tensor, multiply: Callable[[Tensor, Tensor | None], Tensor]) -> Tensor:
        """Modulate, multiply, detect, add the bias.

        Light has no half precision: where the model has, its signals are float32 between the converters.

        Args:
            x: Input of the layer.
            multiply: Takes the signals, and a bias that it may add or None, and gives the products.
        """
        if traced(x):
            node: Tensor = call_as_leaf(self, x)
            return node
        dtype = x.dtype
        bias: Tensor | None = self.bias
        if self.narrow is not None:
            x, bias = x.float(), None if bias is None else bias.float()
        ahead, behind = self.input_converter, self.output_converter
        x = x if ahead.bits is None else ahead(x)  # a module that does nothing takes time all the same
        if behind.bits is None:
            y = multiply(x, bias)
        else:
            y = behind(multiply(x, None))
            y = y if bias is None else y + bias.view(-1, *[1] * (self.signal_dims - 1))
        return y if self.narrow is None else y.to(dtype)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> OpticalLayer:
        with normal_tensors():  # what is moved or cast must be able to train later
            return super()._apply(fn, recurse)  # type: ignore[no-untyped-call, no-any-return]

    def filled(self, layer: Layer) -> Layer:
        """Give an electronic layer of the same shape, without memory yet, this one's effective weight and bias."""
        bias = None if self.bias is None else nn.Parameter(self.bias.detach().clone())
        layer.register_parameter("weight", nn.Parameter(self.effective_weight().detach().clone()))
        layer.register_parameter("bias", bias)
        carry_over(self, layer)
        return layer.train(self.training)


class MatrixLayer(OpticalLayer):
    """A layer that multiplies each vector by one matrix: [..., in_features] -> [..., out_features]."""

    in_features: int
    out_features: int

    def shaped(self, matrix: Tensor) -> Tensor:
        """[out_features, in_features]."""
        return matrix

    def forward(self, x: Tensor) -> Tensor:
        """[..., in_features] -> [..., out_features]."""
        active = self.active_sampler()
        if active is not None:
            sampler, core = active
            return self.through_optics(x, lambda signals, bias: sampler.linear(core, signals, bias))
        weight = self.core.cached_weight()
        return self.through_optics(x, lambda signals, bias: F.linear(signals, weight, bias))


class OpticalLinear(MatrixLayer, nn.Linear):  # type: ignore[misc, override]
    """y = W x + b with W on photonic tensor cores, in the place of `torch.nn.Linear`.

    Args:
        in_features: Length of x.
        out_features: Length of y.
        bias: Whether to add an electronic bias.
        chip: The hardware, or the name of a preset.
        name: Place on the chip.
        start: Layer of these sizes to take weight and bias from; None draws them as torch does.
        core: Tensor core to share as it is, in the place of one that is programmed to the weight.

    Shapes: [..., in_features] -> [..., out_features].
    """

    @checked
    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        chip: Chip | str,
        name: str = "core",
        start: nn.Linear | None = None,
        core: TensorCore | None = None,
    ) -> None:
        start = nn.Linear(in_features, out_features, bias) if start is None else start
        super().__init__(core or core_for(start.weight, chip, 1, name), start.bias, start.weight.dtype)
        carry_over(start, self)

    @classmethod
    @checked
    def from_electronic(
        cls, layer: nn.Linear, chip: Chip | str, name: str = "core", core: TensorCore | None = None
    ) -> OpticalLinear:
        """The optical form of a `torch.nn.Linear`, programmed to its weight.

        Args:
            layer: The electronic layer.
            chip: The hardware, or the name of a preset.
            name: Place on the chip.
            core: Tensor core to share as it is, in the place of one that is programmed.
        """
        return cls(layer.in_features, layer.out_features, chip=chip, name=name, start=layer, core=core)

    def to_electronic(self) -> nn.Linear:
        """A `torch.nn.Linear` with the effective weight."""
        return self.filled(nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta"))


@checked
def optical_layers(model: nn.Module) -> dict[str, OpticalLayer]:
    """The optical layers of a model by name, in the order in which they were made.

    Raises:
        RequestError: It is no `torch.nn.Module`.
    """
    return {name: module for name, module in model.named_modules() if isinstance(module, OpticalLayer)}


Kind = TypeVar("Kind", bound=TensorCore)


@checked
def cores(model: nn.Module, kind: type[Kind]) -> dict[str, Kind]:
    """The tensor cores of one kind, in the order of the model, each by the first layer that has it.

    Args:
        model: With optical layers, or without.
        kind: Class of the cores, such as `TensorCore` for all of them.
    """
    first_layer: dict[Kind, str] = {}
    for name, layer in optical_layers(model).items():
        if isinstance(layer.core, kind):
            first_layer.setdefault(layer.core, name)
    return {name: core for core, name in first_layer.items()}


def core_for(weight: Tensor, chip: Chip | str, groups: int, name: str) -> TensorCore:
    """A core of the chip's technology and the right shape, programmed to a layer's weight.

    Args:
        weight: The weight [outputs, ...].
        chip: The hardware, or the name of a preset.
        groups: Number of matrices that the weight holds.
        name: Place on the chip.
    """
    matrix = weight.detach().flatten(1)
    rows, columns = matrix.shape[0] // groups, matrix.shape[1]
    hardware = core_chip(chip)
    core = technology_of(hardware).load("core", TensorCore)(hardware, rows, columns, groups, name)
    # phases need more digits than half precision has
    core.to(device=matrix.device, dtype=torch.float32 if matrix.dtype in _HALVES else matrix.dtype)
    core.program(matrix)
    return core
