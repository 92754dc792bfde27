"""Gradients of weights as a camera sees them: the interference of forward and backward light.

At a weight the forward field a and the error field b meet. Two exposures, the second with the error light turned by pi,
differ by |a + b|^2 - |a - b|^2 = 4 a b: the outer product of which the gradient is the sum over examples and positions.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightloom.nn.all_optical.config import OpticalPass
from lightloom.nn.all_optical.steps import WeightStep


def measure(step: WeightStep, signals: Tensor, backward_field: Tensor, light: OpticalPass, saturation: float) -> Tensor:
    """The gradient of the weight, in units of the error field, with the noise of its exposures.

    Args:
        step: The weight layer.
        signals: Forward field [batch, ...] that meets the weights.
        backward_field: Error field that meets them from the other side.
        light: What is imperfect.
        saturation: Saturation intensity that `light` is given in.
    """
    gradient = step.weight_gradient(signals, backward_field)
    if light.noisy:
        gradient += variance(step, signals, backward_field, light, saturation).sqrt_() * torch.randn_like(gradient)
    return gradient


def variance(
    step: WeightStep, signals: Tensor, backward_field: Tensor, light: OpticalPass, saturation: float
) -> Tensor:
    """Variance of the measured gradient, shaped as the weight.

    An exposure of intensity I, in saturation intensities, has the variance I / photons + detector_std^2. Both exposures
    together have 2 (a^2 + b^2) / photons + 2 detector_std^2, and a quarter of their difference a sixteenth of that.

    Args:
        step: The weight layer.
        signals: Forward field [batch, ...] that meets the weights.
        backward_field: Error field that meets them from the other side.
        light: What is imperfect.
        saturation: Saturation intensity that `light` is given in.
    """
    ones = torch.ones_like(signals), torch.ones_like(backward_field)
    total = torch.zeros((), device=backward_field.device, dtype=backward_field.dtype)
    if light.photons is not None:
        powers = step.weight_gradient(signals.square(), ones[1]) + step.weight_gradient(
            ones[0], backward_field.square()
        )
        total = powers.mul_(saturation / (8 * light.photons))
    if light.detector_std > 0:
        total = total + step.weight_gradient(*ones) * ((light.detector_std * saturation) ** 2 / 8)
    return total


def read(field: Tensor, light: OpticalPass, saturation: float) -> Tensor:
    """Outputs read by homodyne detection.

    Against a strong local oscillator a field has the shot noise of the vacuum, 1 / (2 sqrt(photons)) in roots of the
    saturation intensity, whatever its own strength.

    Args:
        field: Field that leaves the network [batch, ...].
        light: What is imperfect.
        saturation: Saturation intensity that `light` is given in.
    """
    if not light.noisy:
        return field
    shot = 0.0 if light.photons is None else 1 / (4 * light.photons)
    std = math.sqrt(saturation * (shot + light.detector_std**2))
    return field + std * torch.randn_like(field)
