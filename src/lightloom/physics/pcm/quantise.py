"""Trained matrices as the weights that pairs of phase-change cells can hold.

With u = g tanh(matrix / g) and a = max |u|, a weight is a times the magnitude of the level nearest to |u| / a, with the
sign of u (Zhu et al., ELight, ASP-DAC 2022, where g = 1). Levels are found without any tanh: the midpoints between
levels are taken back to the matrix, in float64, and |matrix| is compared with them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import Gradient, define, one_by_one
from lightloom.physics.execution import has_numbers
from lightloom.physics.pcm import level_kernels
from lightloom.physics.pcm.levels import midpoints, place, rounded_down, signed
from lightloom.physics.rounding import straight_through


class Quantised(NamedTuple):
    """What a matrix becomes."""

    weight: Tensor
    """Shaped as the matrix, of its dtype."""
    levels: Tensor
    """int8, same shape: signed levels."""


class Scale(NamedTuple):
    """The scale from a matrix to the levels of its weights."""

    gain: Tensor
    """[] float64, g."""
    largest: Tensor
    """[] float64, a: the weight of the highest level."""
    limits: Tensor
    """[L] float64: |matrix| where the nearest level changes."""
    weights: Tensor
    """[L + 1] of the levels 0 ... L, of the matrix's dtype."""


def quantise(matrix: Tensor, magnitudes: Tensor, gain: Tensor | None = None) -> Quantised:
    """The nearest weights that pairs of cells can hold, for training.

    The gradient is that of u (straight-through): d weight / d matrix = 1 - tanh^2(matrix / g). None goes to the gain or
    through a. A matrix of zeros stays zero; NaN in it makes every weight NaN.

    Args:
        matrix: Any shape, real; a is taken over all of it.
        magnitudes: [L + 1] as `levels.magnitudes` gives them.
        gain: [] g, above 0; None is 1.
    """
    return apply_scale(matrix, scale(matrix, magnitudes, gain))


def levels_of(matrix: Tensor, magnitudes: Tensor, gain: Tensor | None = None) -> Tensor:
    """The levels of `quantise` alone, int8, without a gradient.

    Args:
        matrix: [groups * rows, columns].
        magnitudes: [L + 1], of each level.
        gain: Scalar g of u = g tanh(matrix / g).

    Raises:
        ValueError: There is NaN in the matrix.
    """
    scaling = scale(matrix, magnitudes, gain)
    if has_numbers(matrix) and scaling.largest.isnan():
        raise ValueError("a matrix with NaN in it has no levels; look for the training step that diverged")
    return place(matrix.detach(), scaling.limits)


def scale(matrix: Tensor, magnitudes: Tensor, gain: Tensor | None) -> Scale:
    """How a matrix is quantised; see `quantise`.

    Args:
        matrix: [groups * rows, columns].
        magnitudes: [L + 1], of each level.
        gain: Scalar g of u = g tanh(matrix / g).
    """
    exact = magnitudes.to(matrix.device, torch.float64)
    if gain is None:
        gain = torch.ones((), dtype=torch.float64, device=matrix.device)
    gain = gain.detach().to(matrix.device, torch.float64)
    low, high = matrix.detach().aminmax()
    largest = gain * torch.tanh(torch.maximum(-low, high).double() / gain)
    limits = gain * torch.atanh(midpoints(exact) * (largest / gain))
    return Scale(gain, largest, limits, (largest * exact).to(matrix.dtype))


def apply_scale(matrix: Tensor, scaling: Scale) -> Quantised:
    """`quantise` with a scale found before.

    Args:
        matrix: [groups * rows, columns].
        scaling: The scale, as `scale` gives it.
    """
    return Quantised(*_quantise(matrix, *scaling))


def place_and_weigh(matrix: Tensor, scaling: Scale) -> tuple[Tensor, Tensor]:
    """Levels and weights, without a gradient.

    Args:
        matrix: [groups * rows, columns].
        scaling: The scale, as `scale` gives it.
    """
    if level_kernels.usable(matrix):
        return level_kernels.place_and_weigh(matrix, rounded_down(scaling.limits, matrix.dtype), scaling.weights)
    levels = place(matrix, scaling.limits)
    return levels, signed(scaling.weights)[levels.int() + len(scaling.limits)]


def bounded(matrix: Tensor, gain: Tensor) -> Tensor:
    """U = g tanh(matrix / g).

    Args:
        matrix: Any shape.
        gain: Scalar g; values stay below it.
    """
    gain = gain.detach().to(matrix.dtype)
    return gain * torch.tanh(matrix / gain)


def fade(matrix: Tensor, gain: Tensor) -> Tensor:
    """Slope of g tanh(matrix / g): 1 - tanh^2, which is 1 / cosh^2 and keeps its digits far out.

    Args:
        matrix: Any shape.
        gain: Scalar g.
    """
    return torch.cosh(matrix / gain.to(matrix.dtype)).square().reciprocal()


def _run(matrix: Tensor, gain: Tensor, largest: Tensor, limits: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    levels, weight = place_and_weigh(matrix, Scale(gain, largest, limits, weights))
    return weight.contiguous(), levels


def _plain(matrix: Tensor, gain: Tensor, largest: Tensor, limits: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    levels = place(matrix, limits)
    weight = signed(weights.detach())[levels.int() + len(limits)]
    return straight_through(weight, bounded(matrix, gain)), levels


def _fake(matrix: Tensor, gain: Tensor, largest: Tensor, limits: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    return matrix.new_empty(matrix.shape), matrix.new_empty(matrix.shape, dtype=torch.int8)


def _pull(
    inputs: tuple[Any, ...], _: tuple[Tensor, ...] | None, grads: tuple[Tensor | None, ...], needs: tuple[bool, ...]
) -> tuple[Tensor | None, ...]:
    matrix, gain = inputs[:2]
    return (None if grads[0] is None else _fade(matrix, gain, grads[0]),)


_quantise = define(
    "pcm_quantise(Tensor matrix, Tensor gain, Tensor largest, Tensor limits, Tensor weights) "
    "-> (Tensor weight, Tensor levels)",
    _run,
    _fake,
    one_by_one,
    Gradient(_plain, _pull),
)


def _run_fade(matrix: Tensor, gain: Tensor, grad: Tensor) -> Tensor:
    if grad.dtype == matrix.dtype and level_kernels.usable(matrix):
        return level_kernels.fade(matrix, float(gain), grad)
    return (grad * fade(matrix, gain)).contiguous()


def _fake_fade(matrix: Tensor, gain: Tensor, grad: Tensor) -> Tensor:
    return matrix.new_empty(matrix.shape)


_fade = define("pcm_fade(Tensor matrix, Tensor gain, Tensor grad) -> Tensor", _run_fade, _fake_fade, one_by_one)
