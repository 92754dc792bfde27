"""Convolutions of many specimens: the same images and stages, a stack of weights for each stage."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.physics import compiled

_FIELDS = 15  # of a stage in the kernel
_ARGUMENTS: tuple[Any, ...] = (*[ctypes.c_int64] * 3, *[ctypes.c_void_p] * 6, *[ctypes.c_int64] * 2, ctypes.c_void_p)


@dataclass(frozen=True)
class Stage:
    """A convolution with zeros around the image, a scale for each output, a bias, and bounds for what comes out."""

    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    low: float = -float("inf")
    high: float = float("inf")

    def size(self, image: tuple[int, int], kernel: tuple[int, int]) -> tuple[int, int]:
        """Height and width of what an image of some height and width becomes."""
        sides = zip(image, kernel, self.stride, self.padding, self.dilation, strict=True)
        height, length = (
            (side + 2 * pad - spread * (taps - 1) - 1) // step + 1 for side, taps, step, pad, spread in sides
        )
        return height, length


def usable(*tensors: Tensor) -> bool:
    """Whether the kernel is built and can work on these: they are float32 on the CPU."""
    fit = all(tensor.device.type == "cpu" and tensor.dtype == torch.float32 for tensor in tensors)
    return fit and compiled.library() is not None


def convolve(
    inputs: Tensor,
    weights: Sequence[Tensor],
    scales: Sequence[Tensor],
    biases: Sequence[Tensor],
    stages: Sequence[Stage],
) -> Tensor:
    """Images through one stage after the other, each specimen with weights of its own.

    A stage makes clamp(scale * (weight * image) + bias, low, high).

    Args:
        inputs: [S, N, channels, height, width], or [1, N, ...] where all specimens see the same.
        weights: Per stage [S, outputs, channels / groups, height, width].
        scales: Per stage [outputs], the same for all.
        biases: Per stage [S, outputs].
        stages: At least one.

    Returns:
        [S, N, outputs, height, width] of the last stage.

    Raises:
        ValueError: A kernel is larger than its padded image, or shapes do not fit each other.
    """
    _check(inputs, weights, scales, biases, stages)
    sizes = [(inputs.shape[-2], inputs.shape[-1])]
    for weight, stage in zip(weights, stages, strict=True):
        sizes.append(stage.size(sizes[-1], (weight.shape[-2], weight.shape[-1])))
        if min(sizes[-1]) < 1:
            raise ValueError(f"a kernel of {tuple(weight.shape[-2:])} is larger than its image of {sizes[-2]}, padded")
    if usable(inputs, *weights, *scales, *biases):
        return _compiled(inputs, weights, scales, biases, stages, sizes)
    for weight, scale, bias, stage in zip(weights, scales, biases, stages, strict=True):
        inputs = _by_groups(inputs, weight * scale.view(-1, 1, 1, 1), bias, stage)
    return inputs


def _check(
    inputs: Tensor,
    weights: Sequence[Tensor],
    scales: Sequence[Tensor],
    biases: Sequence[Tensor],
    stages: Sequence[Stage],
) -> None:
    """Shapes fit each other: the kernel reads wherever they say."""
    if not stages or inputs.ndim != 5:
        raise ValueError(f"there are {len(stages)} stages for images {tuple(inputs.shape)}; give at least one, and 5-D")
    specimens, channels = len(weights[0]), inputs.shape[2]
    if len(inputs) not in (1, specimens):
        raise ValueError(f"images of {len(inputs)} specimens meet weights of {specimens}")
    for number, (weight, scale, bias, stage) in enumerate(zip(weights, scales, biases, stages, strict=True)):
        outputs = weight.shape[1]
        wanted = (specimens, outputs, channels // stage.groups, *weight.shape[3:])
        if channels % stage.groups or outputs % stage.groups or weight.ndim != 5 or weight.shape != wanted:
            raise ValueError(
                f"stage {number}: weights {tuple(weight.shape)} do not fit {specimens} specimens, {channels} channels "
                f"and {stage.groups} groups"
            )
        if scale.shape != (outputs,) or bias.shape != (specimens, outputs):
            raise ValueError(
                f"stage {number}: expected scales ({outputs},) and biases ({specimens}, {outputs}), got "
                f"{tuple(scale.shape)} and {tuple(bias.shape)}"
            )
        channels = outputs


def _by_groups(inputs: Tensor, weights: Tensor, bias: Tensor, stage: Stage) -> Tensor:
    """One stage on torch alone: specimens are groups, or, of the same images, more outputs."""
    count, outputs = weights.shape[:2]
    common = inputs.shape[0] == 1 and stage.groups == 1
    if not common:
        inputs = inputs.expand(count, *inputs.shape[1:])
    made = F.conv2d(
        inputs.transpose(0, 1).flatten(1, 2),
        weights.flatten(0, 1),
        bias.flatten(),
        stage.stride,
        stage.padding,
        stage.dilation,
        1 if common else count * stage.groups,
    )
    made = made.clamp(stage.low, stage.high)
    return made.view(len(made), count, outputs, *made.shape[2:]).transpose(0, 1)


def _compiled(
    inputs: Tensor,
    weights: Sequence[Tensor],
    scales: Sequence[Tensor],
    biases: Sequence[Tensor],
    stages: Sequence[Stage],
    sizes: Sequence[tuple[int, int]],
) -> Tensor:
    specimens, images, count = len(weights[0]), inputs.shape[1], len(stages)
    geometry = (ctypes.c_int64 * (_FIELDS * count))(*_geometry(inputs.shape[2], weights, stages, sizes))
    bounds = (ctypes.c_float * (2 * count))(*(bound for stage in stages for bound in (stage.low, stage.high)))
    held = [[tensor.contiguous() for tensor in tensors] for tensors in (weights, scales, biases)]
    addresses = [(ctypes.c_void_p * count)(*(tensor.data_ptr() for tensor in tensors)) for tensors in held]
    inputs = inputs.contiguous()
    made = inputs.new_empty(specimens, images, weights[-1].shape[1], *sizes[-1])
    common = int(len(inputs) == 1)
    threads = torch.get_num_threads()
    tables = (geometry, bounds, *addresses)
    _function(compiled.library())(
        specimens, images, count, *tables, inputs.data_ptr(), common, threads, made.data_ptr()
    )
    return made


def _geometry(
    channels: int, weights: Sequence[Tensor], stages: Sequence[Stage], sizes: Sequence[tuple[int, int]]
) -> list[int]:
    """The fields of every stage, in the order of the kernel's `Stage`."""
    fields: list[int] = []
    for weight, stage, before, after in zip(weights, stages, sizes[:-1], sizes[1:], strict=True):
        _, outputs, _, tall, broad = weight.shape
        fields += [channels, *before, outputs, tall, broad, *stage.stride, *stage.padding, *stage.dilation]
        fields += [stage.groups, *after]
        channels = outputs
    return fields


@lru_cache(maxsize=4)
def _function(library: ctypes.CDLL) -> Callable[..., Any]:
    function = library.stacked_convolve
    function.argtypes, function.restype = _ARGUMENTS, None
    return function
