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
from lightloom.physics.compiled.operators import address, define, one_by_one, ready, serves
from lightloom.physics.execution import transformed

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
        """Height and width of what an image of some height and width becomes.

        Args:
            image: Height and width of the image.
            kernel: Height and width of the kernel.
        """
        sides = zip(image, kernel, self.stride, self.padding, self.dilation, strict=True)
        height, length = (
            (side + 2 * pad - spread * (taps - 1) - 1) // step + 1 for side, taps, step, pad, spread in sides
        )
        return height, length


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
    _sizes(inputs, weights, stages)
    tensors = (inputs, *weights, *scales, *biases)
    if transformed() or (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)):
        return _staged(inputs, weights, scales, biases, stages)  # a kernel passes no gradient
    geometry = [number for stage in stages for number in (*stage.stride, *stage.padding, *stage.dilation, stage.groups)]
    bounds = [bound for stage in stages for bound in (stage.low, stage.high)]
    outputs: Tensor = _convolve(inputs, list(weights), list(scales), list(biases), geometry, bounds)
    return outputs


def _staged(
    inputs: Tensor,
    weights: Sequence[Tensor],
    scales: Sequence[Tensor],
    biases: Sequence[Tensor],
    stages: Sequence[Stage],
) -> Tensor:
    """Compute the stages on torch alone."""
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
        expected = (specimens, outputs, channels // stage.groups, *weight.shape[3:])
        if channels % stage.groups or outputs % stage.groups or weight.ndim != 5 or weight.shape != expected:
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
    maps = F.conv2d(
        inputs.transpose(0, 1).flatten(1, 2),
        weights.flatten(0, 1),
        bias.flatten(),
        stage.stride,
        stage.padding,
        stage.dilation,
        1 if common else count * stage.groups,
    )
    maps = maps.clamp(stage.low, stage.high)
    return maps.view(len(maps), count, outputs, *maps.shape[2:]).transpose(0, 1)


def _run(
    inputs: Tensor,
    weights: list[Tensor],
    scales: list[Tensor],
    biases: list[Tensor],
    geometry: list[int],
    bounds: list[float],
) -> Tensor:
    stages = _stages(geometry, bounds)
    _check(inputs, weights, scales, biases, stages)
    tensors = (inputs, *weights, *scales, *biases)
    if all(tensor.dtype == torch.float32 for tensor in tensors) and serves(*tensors):
        return _compiled(inputs, weights, scales, biases, stages)
    return _staged(inputs, weights, scales, biases, stages).contiguous()


def _fake(
    inputs: Tensor,
    weights: list[Tensor],
    scales: list[Tensor],
    biases: list[Tensor],
    geometry: list[int],
    bounds: list[float],
) -> Tensor:
    side = _sizes(inputs, weights, _stages(geometry, bounds))[-1]
    return inputs.new_empty(len(weights[0]), inputs.shape[1], weights[-1].shape[1], *side)


_convolve = define(
    "stacked_convolve(Tensor inputs, Tensor[] weights, Tensor[] scales, Tensor[] biases, int[] geometry, "
    "float[] bounds) -> Tensor",
    _run,
    _fake,
    one_by_one,
)


def _stages(geometry: Sequence[int], bounds: Sequence[float]) -> list[Stage]:
    """Stages again, of what the operator was told."""
    records = []
    for number, (low, high) in enumerate(zip(bounds[::2], bounds[1::2], strict=True)):
        a, b, c, d, e, f, groups = geometry[7 * number : 7 * number + 7]
        records.append(Stage((a, b), (c, d), (e, f), groups, low, high))
    return records


def _sizes(inputs: Tensor, weights: Sequence[Tensor], stages: Sequence[Stage]) -> list[tuple[int, int]]:
    """Height and width of the images, and of what each stage makes of them."""
    sizes = [(inputs.shape[-2], inputs.shape[-1])]
    for weight, stage in zip(weights, stages, strict=True):
        sizes.append(stage.size(sizes[-1], (weight.shape[-2], weight.shape[-1])))
        if min(sizes[-1]) < 1:
            raise ValueError(f"a kernel of {tuple(weight.shape[-2:])} is larger than its image of {sizes[-2]}, padded")
    return sizes


def _compiled(
    inputs: Tensor,
    weights: Sequence[Tensor],
    scales: Sequence[Tensor],
    biases: Sequence[Tensor],
    stages: Sequence[Stage],
) -> Tensor:
    sizes = _sizes(inputs, weights, stages)
    specimens, images, count = len(weights[0]), inputs.shape[1], len(stages)
    geometry = (ctypes.c_int64 * (_FIELDS * count))(*_geometry(inputs.shape[2], weights, stages, sizes))
    bounds = (ctypes.c_float * (2 * count))(*(bound for stage in stages for bound in (stage.low, stage.high)))
    arrays = [[ready(tensor) for tensor in tensors] for tensors in (weights, scales, biases)]
    kind = torch.float32
    addresses = [(ctypes.c_void_p * count)(*(address(tensor, kind) for tensor in tensors)) for tensors in arrays]
    inputs = ready(inputs)
    outputs = inputs.new_empty(specimens, images, weights[-1].shape[1], *sizes[-1])
    common = int(len(inputs) == 1)
    threads = torch.get_num_threads()
    tables = (geometry, bounds, *addresses)
    _function(compiled.library())(
        specimens, images, count, *tables, address(inputs, kind), common, threads, address(outputs, kind)
    )
    return outputs


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
def _function(library: ctypes.CDLL | None) -> Callable[..., Any]:
    assert library is not None  # `serves` looked
    function = library.stacked_convolve
    function.argtypes, function.restype = _ARGUMENTS, None
    return function
