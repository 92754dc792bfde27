"""Linear and convolution whose backward pass uses a part of the weight, of the positions and of the pixels.

With all masks away these are torch's own functions, number for number. Neither the incoming gradient nor a saved
tensor is ever written to, so a graph can be walked twice and a gradient can be shared.

On a chip every mask saves calls. On a computer output positions and input pixels save time, because only what is kept
is gathered and multiplied. A mask over blocks does not: W_m^T dy with two thirds of the 9 x 9 blocks away is fastest
as the dense product with zeros, since gathering blocks costs more than the multiplications it spares.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from lightloom.physics.sampling import windows

_FEWEST_CHANNELS = 16  # below, a gathered pixel is too short a row to be worth it


class Geometry(NamedTuple):
    """The geometry of a convolution, as in `torch.nn.Conv2d`."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


class Parts(NamedTuple):
    """What a training pass uses; None is all of it."""

    forward: Tensor | None = None
    """[groups, p, q] factor on each block of W forwards, and backwards unless `feedback` says otherwise."""
    feedback: Tensor | None = None
    """[groups, p, q] factor on each block of W in W^T dy."""
    columns: Tensor | None = None
    """Bool, output positions that the gradient of W is summed over: [h' w'] of a convolution."""
    inputs: Tensor | None = None
    """Bool, inputs that it is made of: [h w] pixels of a convolution, [examples, q] slices of k of a linear layer."""
    gain: float = 1.0
    """Factor on the gradient of W."""
    block_size: int = 1
    """k of the blocks."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None, parts: Parts) -> Tensor:
    """Apply `torch.nn.functional.linear` to [..., inputs], its backward pass restricted to `parts`.

    The gradient of W goes to all of it, also where `parts.forward` switches blocks off (straight-through).

    Args:
        x: Signals [..., inputs].
        weight: W [outputs, inputs].
        bias: Added; None adds nothing.
        parts: What of the gradients is computed.
    """
    y: Tensor = _Linear.apply(x, weight, bias, parts)  # type: ignore[no-untyped-call]
    return y


def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, parts: Parts) -> Tensor:
    """Apply `torch.nn.functional.conv2d` to [batch, channels, h, w], its backward pass restricted to `parts`.

    Args:
        x: Images [batch, channels, h, w].
        weight: Kernels [outputs, channels / groups, height, width].
        bias: Added; None adds nothing.
        geometry: Of the convolution.
        parts: What of the gradients is computed.
    """
    y: Tensor = _Conv2d.apply(x, weight, bias, geometry, parts)  # type: ignore[no-untyped-call]
    return y


def scale_blocks(weight: Tensor, factors: Tensor | None, size: int) -> Tensor:
    """W with every block times its factor.

    Args:
        weight: [groups * rows, ...], cut into blocks after its later dimensions are joined.
        factors: [groups, p, q]; None leaves the weight as it is.
        size: k.
    """
    if factors is None:
        return weight
    matrix = weight.reshape(factors.shape[0], -1, weight[0].numel())
    rows = factors.to(weight.dtype).repeat_interleave(size, -2)[:, : matrix.shape[1]]
    entries = rows.repeat_interleave(size, -1)[..., : matrix.shape[2]]
    return entries.mul_(matrix).reshape(weight.shape)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, parts: Parts) -> Tensor:
        ctx.parts = parts
        ctx.save_for_backward(x, weight)
        return F.linear(x, scale_blocks(weight, parts.forward, parts.block_size), bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        parts: Parts = ctx.parts
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            grad_x = grad @ scale_blocks(weight, _feedback(parts), parts.block_size)
        flat = grad.reshape(-1, grad.shape[-1])
        if ctx.needs_input_grad[1]:
            inputs = x.reshape(-1, x.shape[-1])
            if parts.inputs is not None:
                slices = parts.inputs.to(x.dtype).repeat_interleave(parts.block_size, 1)
                inputs = inputs * slices[:, : inputs.shape[1]]
            grad_weight = _gained(flat.t() @ inputs, parts.gain)
        if ctx.needs_input_grad[2]:
            grad_bias = flat.sum(0)
        return grad_x, grad_weight, grad_bias, None


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Geometry, parts: Parts) -> Tensor:
        ctx.geometry, ctx.parts, ctx.shape = geometry, parts, x.shape
        # of an image whose pixels are sampled only those pixels are kept until the backward pass
        stored = x if parts.inputs is None else _pixels(x, parts.inputs.nonzero().squeeze(1))
        ctx.save_for_backward(stored, weight)
        kernel = scale_blocks(weight, parts.forward, parts.block_size)
        return F.conv2d(x, kernel, bias, *geometry[1:])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None, None]:
        stored, weight = ctx.saved_tensors
        geometry: Geometry = ctx.geometry
        parts: Parts = ctx.parts
        grad_x = grad_weight = grad_bias = None
        if ctx.needs_input_grad[0]:
            kernel = scale_blocks(weight, _feedback(parts), parts.block_size)
            grad_x = conv2d_input(ctx.shape, kernel, grad, *geometry[1:])  # type: ignore[no-untyped-call]
        if ctx.needs_input_grad[1]:
            grad_weight = _gained(_conv_weight(stored, grad, weight, ctx.shape, geometry, parts), parts.gain)
        if ctx.needs_input_grad[2]:
            grad_bias = grad.sum((0, 2, 3))
        return grad_x, grad_weight, grad_bias, None, None


def _feedback(parts: Parts) -> Tensor | None:
    return parts.forward if parts.feedback is None else parts.feedback


def _gained(gradient: Tensor, gain: float) -> Tensor:
    return gradient if gain == 1 else gradient * gain


def _conv_weight(
    pixels: Tensor, grad: Tensor, weight: Tensor, shape: torch.Size, geometry: Geometry, parts: Parts
) -> Tensor:
    """The gradient of a convolution's weight over the kept positions and pixels."""
    if parts.inputs is not None:
        return _by_pixels(pixels, grad, weight.shape, shape, geometry, parts)
    if parts.columns is not None and weight.shape[1] >= _FEWEST_CHANNELS:
        return _by_columns(pixels, grad, weight.shape, geometry, parts.columns)
    if parts.columns is not None:
        grad = grad * parts.columns.view(grad.shape[2:]).to(grad.dtype)
    dense: Tensor = conv2d_weight(pixels, weight.shape, grad, *geometry[1:])  # type: ignore[no-untyped-call]
    return dense


def _by_columns(x: Tensor, grad: Tensor, size: torch.Size, geometry: Geometry, columns: Tensor) -> Tensor:
    """Gather what the kernel meets at the kept positions, and multiply once."""
    groups, taps = geometry.groups, geometry.kernel[0] * geometry.kernel[1]
    positions = columns.nonzero().squeeze(1)
    elements = _met(x.shape, geometry, x.device)[:, positions]
    padded = x.new_zeros(x.shape[0], x[0, 0].numel() + 1, x.shape[1])
    padded[:, :-1] = x.flatten(2).mT
    patches = padded.index_select(1, elements.t().reshape(-1)).view(-1, taps, groups, size[1]).transpose(1, 2)
    errors = _pixels(grad, positions).view(len(patches), groups, -1)
    # kernel elements come last in a weight; whichever is smaller is turned round, the inputs or the product
    if len(patches) < size[0] // groups:
        products = [_product(errors[:, g], patches[:, g].mT.flatten(1)) for g in range(groups)]
    else:
        products = [_product(errors[:, g], patches[:, g].flatten(1)).view(-1, taps, size[1]).mT for g in range(groups)]
    return (products[0] if groups == 1 else torch.cat(products)).reshape(size)


def _by_pixels(
    stored: Tensor, grad: Tensor, size: torch.Size, shape: torch.Size, geometry: Geometry, parts: Parts
) -> Tensor:
    """Each kernel element by itself, over the positions at which it meets a kept pixel; padding is met by none."""
    assert parts.inputs is not None
    groups, absent = geometry.groups, -1
    pixels = parts.inputs.new_full((parts.inputs.numel() + 1,), absent, dtype=torch.long)
    pixels[:-1][parts.inputs] = torch.arange(stored.shape[1], device=stored.device)
    positions = torch.arange(grad[0, 0].numel(), device=grad.device)
    positions = positions if parts.columns is None else positions[parts.columns]
    errors = grad.flatten(2).mT.contiguous()
    products = []
    for touched in pixels[_met(shape, geometry, grad.device)[:, positions]]:
        used = (touched != absent).nonzero().squeeze(1)
        patches = stored.index_select(1, touched[used]).view(-1, groups, size[1])
        error = errors.index_select(1, positions[used]).view(-1, groups, size[0] // groups)
        products.append(torch.cat([_product(error[:, g], patches[:, g]) for g in range(groups)]))
    return torch.stack(products, -1).view(size)


def _met(shape: torch.Size, geometry: Geometry, device: torch.device) -> Tensor:
    size = (shape[2], shape[3])
    return windows(size, geometry.kernel, geometry.stride, geometry.padding, geometry.dilation).to(device)


def _pixels(images: Tensor, indices: Tensor) -> Tensor:
    """[batch, chosen, channels]: the chosen pixels of [batch, channels, h, w], whole pixels side by side."""
    return images.contiguous(memory_format=torch.channels_last).flatten(2).mT.index_select(1, indices)


def _product(errors: Tensor, inputs: Tensor) -> Tensor:
    """Sum over n of errors [n, a] times inputs [n, b]: [a, b]."""
    plain = errors.device.type == "cpu" and errors.dtype == torch.float32 and torch._C._has_mkldnn
    if plain and len(errors):
        # oneDNN uses the whole width of processors on which the BLAS uses half: twice as fast there, else the same
        product: Tensor = torch.ops.mkldnn._linear_pointwise(errors.t(), inputs.t(), None, "none", [], "")
        return product
    return errors.t() @ inputs
