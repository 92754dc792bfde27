"""Stacks of convolutions that many specimens pass in one piece, in the place of layer after layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from lightloom.nn.converter import Converter
from lightloom.nn.convolutions import OpticalConv2d
from lightloom.nn.layers import OpticalLinear
from lightloom.physics import batched_conv
from lightloom.physics.batched_conv import Stage

_FEWEST = 16  # images; of fewer, most lanes of the kernel would be idle
_PASSED = (nn.Identity, nn.Dropout, nn.Dropout2d)  # do nothing in evaluation


def fuse(model: nn.Module) -> bool:
    """Let the plain `nn.Sequential`s of a model in evaluation take their convolutions in one piece.

    The children of a sequence stay where they are, for whoever takes one out of it or follows it by a hook. Nothing is
    changed where a convolution stands outside such a sequence, as between residuals: layer by layer, each image would
    be laid out anew for the kernel and back, which takes longer than torch's own convolutions.

    Returns:
        Whether every convolution is in a sequence now.
    """
    sequences = [module for module in model.modules() if type(module) is nn.Sequential]
    within = {id(child) for sequence in sequences for child in sequence}
    if any(isinstance(m, nn.Conv2d) and m is not model and id(m) not in within for m in model.modules()):
        return False
    for sequence in sequences:
        sequence.__class__ = _Fused
    return True


class _Fused(nn.Sequential):
    """A `nn.Sequential` that finds runs of convolutions, norms and clamps among its children at every call."""

    def forward(self, x: Tensor) -> Tensor:
        layers = list(self)
        start = 0
        while start < len(layers):
            run = _Run(x) if isinstance(x, Tensor) and len(x) >= _FEWEST else None
            stop = start if run is None else run.take(layers, start)
            if run is None or not run.stages:
                x, start = layers[start](x), start + 1
            else:
                x, start = run(x), stop
        return x


class _Product(NamedTuple):
    """A convolution, or a linear layer as one."""

    kernel: Tensor
    bias: Tensor | None
    stage: Stage
    converter: Converter | None
    """Converter of the inputs, where they are rounded; else None."""


class _Run:
    """Layers that follow each other and are stages of `batched_conv.convolve`."""

    def __init__(self, x: Tensor) -> None:
        self.flat = x.ndim == 2
        self.shape = (*x.shape[1:], 1, 1) if self.flat else tuple(x.shape[1:])
        self.stages: list[Stage] = []
        self.kernels: list[Tensor] = []
        self.scales: list[Tensor] = []
        self.biases: list[Tensor] = []
        self.first: _Product | None = None

    def take(self, layers: Sequence[nn.Module], start: int) -> int:
        """Take layers from `start` on; returns the first that is none of this run."""
        if len(self.shape) != 3:
            return start
        open_stage = False  # whether a norm or a clamp may still join the last stage
        for number in range(start, len(layers)):
            layer = layers[number]
            if _watched(layer):
                return number
            if type(layer) in _PASSED or self._joins(layer, open_stage):
                continue
            if self.stages and self._reshapes(layer):
                open_stage = False
                continue
            if not self.add(layer):
                return number
            open_stage = True
        return len(layers)

    def add(self, layer: nn.Module) -> bool:
        """Take a layer as one more stage; False where it is none, or inputs must be converted on the way to it."""
        product = _product(layer, self.shape, self.flat)
        if product is None or (self.stages and product.converter is not None):
            return False
        outputs = product.kernel.shape[0]
        like: dict[str, Any] = {"device": product.kernel.device, "dtype": product.kernel.dtype}
        self.first = self.first or product
        self.stages.append(product.stage)
        self.kernels.append(product.kernel)
        self.scales.append(torch.ones(outputs, **like))
        self.biases.append(torch.zeros(outputs, **like) if product.bias is None else product.bias)
        tall, broad = product.kernel.shape[2:]
        self.shape = (outputs, *product.stage.size((self.shape[1], self.shape[2]), (tall, broad)))
        return True

    def __call__(self, x: Tensor) -> Tensor:
        """[batch, ...] through all of them."""
        if self.first is not None and self.first.converter is not None:
            x = self.first.converter(x)
        x = x.view(*x.shape, 1, 1) if x.ndim == 2 else x
        y: Tensor = _Convolve.apply(tuple(self.stages), x, *self.kernels, *self.scales, *self.biases)  # type: ignore[no-untyped-call]
        return y.flatten(1) if self.flat else y

    def _joins(self, layer: nn.Module, open_stage: bool) -> bool:
        """Whether the layer could be made a part of the last stage."""
        if not open_stage:
            return False
        stage = self.stages[-1]
        free = stage.low == -float("inf") and stage.high == float("inf")
        if type(layer) is nn.BatchNorm2d and not self.flat and free and layer.running_var is not None:
            return self._normalise(layer)
        bounds = _bounds(layer)
        if bounds is None or not free:
            return False
        self.stages[-1] = Stage(stage.stride, stage.padding, stage.dilation, stage.groups, *bounds)
        return True

    def _normalise(self, norm: nn.BatchNorm2d) -> bool:
        mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
        scale = torch.rsqrt(variance + norm.eps)
        scale = scale if norm.weight is None else scale * norm.weight
        shift = -mean * scale if norm.bias is None else norm.bias - mean * scale
        self.scales[-1] = self.scales[-1] * scale
        self.biases[-1] = self.biases[-1] * scale + shift
        return True

    def _reshapes(self, layer: nn.Module) -> bool:
        """Whether the layer only writes down anew what is there; flattening is taken note of."""
        if type(layer) is nn.AdaptiveAvgPool2d and not self.flat:
            size: Any = layer.output_size
            return self.shape[1:] == ((size, size) if isinstance(size, int) else tuple(size))
        if type(layer) is nn.Flatten and (layer.start_dim, layer.end_dim) == (1, -1):
            self.flat = True
            return True
        return False


def _product(layer: nn.Module, shape: tuple[int, ...], flat: bool) -> _Product | None:
    """The layer as a stage for images of this shape; None if it is none."""
    if type(layer) is OpticalConv2d or type(layer) is OpticalLinear:
        if layer.chip.output_bits is not None or layer.narrow is not None:
            return None
        converter = None if layer.input_converter.bits is None else layer.input_converter
        product = _Product(layer.effective_weight(), layer.bias, Stage(), converter)
    elif type(layer) is nn.Conv2d or type(layer) is nn.Linear:
        product = _Product(layer.weight, layer.bias, Stage(), None)
    else:
        return None
    return _as_stage(product, layer if isinstance(layer, nn.Conv2d) else None, shape, flat)


def _as_stage(product: _Product, layer: nn.Conv2d | None, shape: tuple[int, ...], flat: bool) -> _Product | None:
    """The product with the stage of a convolution, or of a linear layer (None) as a kernel of the image's size."""
    kernel = product.kernel
    if layer is None:
        fits = flat and kernel.shape[1] == shape[0] * shape[1] * shape[2]
        return product._replace(kernel=kernel.reshape(kernel.shape[0], *shape)) if fits else None
    padding: Any = layer.padding
    if flat or layer.padding_mode != "zeros" or isinstance(padding, str) or layer.in_channels != shape[0]:
        return None
    stride, dilation = cast(tuple[tuple[int, int], tuple[int, int]], (layer.stride, layer.dilation))
    return product._replace(stage=Stage(stride, padding, dilation, layer.groups))


def _bounds(layer: nn.Module) -> tuple[float, float] | None:
    if type(layer) is nn.ReLU:
        return 0.0, float("inf")
    if type(layer) is nn.Hardtanh or type(layer) is nn.ReLU6:
        return float(layer.min_val), float(layer.max_val)
    return None


def _watched(layer: nn.Module) -> bool:
    """Whether somebody wants to see what goes in or comes out, or computes it in another way."""
    return bool(layer._forward_hooks or layer._forward_pre_hooks or "forward" in vars(layer))


class _Convolve(torch.autograd.Function):
    """`batched_conv.convolve` for one specimen, and for all of them under `torch.vmap`."""

    @staticmethod
    def forward(stages: tuple[Stage, ...], x: Tensor, *tensors: Tensor) -> Tensor:
        kernels, scales, biases = _thirds(tensors)
        kernels, biases = [k.unsqueeze(0) for k in kernels], [b.unsqueeze(0) for b in biases]
        return batched_conv.convolve(x.unsqueeze(0), kernels, scales, biases, stages)[0]

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept: a population has no gradient."""

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[int | None, ...], stages: tuple[Stage, ...], *tensors: Tensor
    ) -> tuple[Tensor, int]:
        batched = [t if dim is None else t.movedim(dim, 0) for t, dim in zip(tensors, in_dims[1:], strict=True)]
        x, (kernels, scales, biases) = batched[0], _thirds(batched[1:])
        of_x, (of_kernels, _, of_biases) = in_dims[1], _thirds(in_dims[2:])
        size: int = info.batch_size
        if all(dim is None for dim in (*of_kernels, *of_biases)):  # electronic layers: one more batch of images
            y = _Convolve.forward(stages, x.flatten(0, 1), *batched[1:])
            return y.view(size, -1, *y.shape[1:]), 0
        x = x.unsqueeze(0) if of_x is None else x
        return batched_conv.convolve(
            x, _stack(kernels, of_kernels, size), scales, _stack(biases, of_biases, size), stages
        ), 0


def _stack(tensors: Sequence[Tensor], dims: Sequence[int | None], size: int) -> list[Tensor]:
    return [t.expand(size, *t.shape) if dim is None else t for t, dim in zip(tensors, dims, strict=True)]


def _thirds(parts: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
    count = len(parts) // 3
    return list(parts[:count]), list(parts[count : 2 * count]), list(parts[2 * count :])
