"""Weights that a modulator can hold and a passive plate can have: a range, and a norm.

Both act on the matrix as a whole, while training, through `torch.nn.utils.parametrize`: the layer's `weight` is the
limited one, and the free one is trained.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError

Norm = Literal["l1", "l2"]
"""Sum of magnitudes, or root of the sum of squares, of all numbers of a weight.

A matrix whose `l2` is at most 1 sends out no more power than it takes in, whatever the light.
"""

_ORDERS: dict[Norm, int] = {"l1": 1, "l2": 2}


@checked
def constrain_weights(
    layer: nn.Module,
    *,
    weight_range: tuple[float, float] | None = None,
    norm: Norm | None = None,
    maximum: float = 1.0,
) -> None:
    """Keep the weight of a layer in a range, then below a norm; its first free weight is the one that it has.

    The range lets gradients through unchanged (straight-through), so that a number at its end can come back. The norm
    is exactly differentiable: a weight beyond `maximum` is divided by what it is too large by.

    Args:
        layer: With a parameter `weight` of any shape, such as `torch.nn.Linear` or `torch.nn.Conv2d`.
        weight_range: Least and largest number; an end may be infinite.
        norm: Of the whole weight; None leaves it free.
        maximum: Largest norm.

    Raises:
        RequestError: The layer has no parameter `weight` or a limited one already, there is nothing to limit, or a
            number is out of range.
    """
    if parametrize.is_parametrized(layer, "weight"):
        raise RequestError(
            f"The weight of this {type(layer).__name__} is limited already; ask for both limits at once."
        )
    if not isinstance(getattr(layer, "weight", None), nn.Parameter):
        raise RequestError(
            f"A {type(layer).__name__} has no parameter `weight` to limit; limit the layers that have one."
        )
    limits = _limits(weight_range, norm, maximum)
    for limit in limits:
        parametrize.register_parametrization(layer, "weight", limit)


def _limits(weight_range: tuple[float, float] | None, norm: Norm | None, maximum: float) -> list[nn.Module]:
    limits: list[nn.Module] = []
    if weight_range is not None:
        low, high = weight_range
        if not low < high:
            raise RequestError(f"`weight_range` is ({low}, {high}); give the smaller number first.")
        limits.append(_Range(low, high))
    if norm is not None:
        if norm not in _ORDERS:
            raise RequestError(f"`norm` is `{norm}`; give `l1` or `l2`.")
        if not 0 < maximum < math.inf:
            raise RequestError(f"`maximum` is {maximum}; give a positive number, the largest norm.")
        limits.append(_LargestNorm(norm, maximum))
    if not limits:
        raise RequestError("Neither `weight_range` nor `norm` is given; give one, or leave the layer as it is.")
    return limits


class _Range(nn.Module):
    """Clamps, and lets gradients through."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, weight: Tensor) -> Tensor:
        # a difference of equal numbers is exactly 0, so the value is exactly the clamped one
        return weight.detach().clamp(self.low, self.high) + (weight - weight.detach())

    def extra_repr(self) -> str:
        return f"{self.low:g} ... {self.high:g}"


class _LargestNorm(nn.Module):
    """Divides by the norm where it is too large."""

    def __init__(self, norm: Norm, maximum: float) -> None:
        super().__init__()
        self.norm: Norm = norm
        self.maximum = maximum

    def forward(self, weight: Tensor) -> Tensor:
        norm: Tensor = torch.linalg.vector_norm(weight, _ORDERS[self.norm])
        return weight / (norm / self.maximum).clamp_min(1)

    def extra_repr(self) -> str:
        return f"{self.norm}, {self.maximum:g}"
