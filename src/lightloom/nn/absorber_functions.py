"""The gradients of an absorber, taken backwards, or by whatever way torch follows its operations."""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from lightloom.physics.absorber import Encoding, Medium, Response, parameter_slopes


class Absorbing(Protocol):
    """What the functions ask of the layer that calls them."""

    encoding: Encoding

    def medium(self) -> Medium:
        """What the light meets."""
        ...

    def respond(self, x: Tensor, probe: Tensor | float = 0.0) -> Response:
        """What leaves, and what backward light is multiplied by.

        Args:
            x: Fields or intensities that enter [...].
            probe: Intensity of light that enters from the other side.
        """
        ...


def absorb(x: Tensor, depth: Tensor | float | None, saturation: Tensor | float | None, layer: Absorbing) -> Tensor:
    """The response of an absorber to x [...], with its factor backwards and the closed-form slopes of what trains.

    Args:
        x: Fields or intensities that enter.
        depth: The optical depth, a tensor where it trains; None of a measured element.
        saturation: The saturation intensity, likewise.
        layer: It computes both.
    """
    return _Absorb.apply(x, depth, saturation, layer)  # type: ignore[no-untyped-call, no-any-return]


def with_slope(output: Tensor, factor: Tensor, x: Tensor) -> Tensor:
    """The output as it is, whose derivative by x is `factor`, and which keeps its own graph beside.

    Args:
        output: [...], with a graph that does not reach x.
        factor: [...], what gradients are multiplied by on their way to x.
        x: [...], what entered.
    """
    return _Led.apply(output, factor, x)  # type: ignore[no-untyped-call, no-any-return]


class _Absorb(torch.autograd.Function):
    """The response forwards; backwards its factor, and the closed-form slopes of what trains."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, depth: Tensor | float | None, saturation: Tensor | float | None, layer: Absorbing
    ) -> Tensor:
        output, factor = layer.respond(x)
        ctx.layer = layer if any(ctx.needs_input_grad[1:3]) else None
        if ctx.layer is None:
            ctx.save_for_backward(factor)
        else:
            ctx.medium = layer.medium()
            ctx.save_for_backward(factor, x)
        return output

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None, None]:
        if torch.is_grad_enabled():  # without this a second derivative would silently come out as 0
            raise RuntimeError(
                "a saturable absorber has first derivatives only, taken backwards; leave `create_graph` out, or take "
                "higher ones by `torch.func`, as `torch.func.grad(torch.func.grad(function))`"
            )
        factor, *entered = ctx.saved_tensors
        through = grad * factor if ctx.needs_input_grad[0] else None
        if ctx.layer is None:
            return through, None, None, None
        slopes = parameter_slopes(entered[0], ctx.medium, ctx.layer.encoding)
        wide = torch.promote_types(grad.dtype, torch.float32)
        sums = [(grad * slope).sum(dtype=wide) for slope in slopes]
        by_depth, by_saturation = (s if n else None for s, n in zip(sums, ctx.needs_input_grad[1:3], strict=True))
        return through, by_depth, by_saturation, None


class _Led(torch.autograd.Function):
    """The first argument forwards; what the last one is given backwards is multiplied by the second."""

    generate_vmap_rule = True

    @staticmethod
    def forward(own: Tensor, factor: Tensor, x: Tensor) -> Tensor:
        return own.clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, Tensor]:
        return grad, None, grad * ctx.saved_tensors[0]

    @staticmethod
    def jvp(ctx: Any, of_own: Tensor | None, of_factor: Tensor | None, of_x: Tensor) -> Tensor:
        through: Tensor = ctx.saved_tensors[0] * of_x
        return through if of_own is None else of_own + through
