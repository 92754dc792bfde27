"""What a detector makes of light, and the photons that it counts."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from lightloom.physics.execution import has_numbers
from lightloom.physics.rounding import straight_through

Detector = Literal["field", "amplitude", "intensity"]
"""The field's real part (homodyne, against a reference of phase 0), its magnitude |u|, or what a camera sees: |u|^2."""


def detect(field: Tensor, kind: Detector = "intensity") -> Tensor:
    """What is detected of a field.

    Args:
        field: [...], complex.
        kind: What of it.

    Returns:
        [...], real. The gradient of |u| where u = 0 is 0, the middle of its slopes in all directions.

    Raises:
        TypeError: The field is not complex.
        ValueError: There is no such detector.
    """
    _check_kind(kind)
    if not field.is_complex():
        raise TypeError(f"a field is complex, got {field.dtype}; convert it with `torch.complex(x, zeros)`")
    if kind == "field":
        return field.real
    if kind == "amplitude":
        # numbers below the normal range have no direction that can be divided out
        dark = field.detach().abs() < torch.finfo(field.dtype).tiny
        return torch.where(dark, 0, field).abs()
    return field.real.square() + field.imag.square()


def shot_noise(
    signal: Tensor, photons: float, kind: Detector = "intensity", generator: torch.Generator | None = None
) -> Tensor:
    """What counting photons makes of a detected signal; the gradient is that of the exact signal (straight-through).

    Intensities and amplitudes are counts of the Poisson distribution, so that an intensity has the variance
    I / photons. A field read against a strong reference has the shot noise of the vacuum, normal with a standard
    deviation of 1 / (2 sqrt(photons)), whatever its strength.

    Args:
        signal: [...] as `detect` gives it for this `kind`.
        photons: Mean count of a pixel at |u| = 1, above 0.
        kind: What was detected.
        generator: Where the randomness comes from.

    Raises:
        ValueError: `photons` is not above 0 and finite, there is no such detector, or an intensity or amplitude is
            negative or NaN.
    """
    _check_kind(kind)
    if not (math.isfinite(photons) and photons > 0):
        raise ValueError(f"{photons:g} photons; expected a finite number above 0, or leave shot noise out")
    exact = signal.detach()
    if kind == "field":
        noise = torch.randn(exact.shape, generator=generator, device=_device(exact, generator), dtype=exact.dtype)
        return signal + noise.to(exact.device) / (2 * math.sqrt(photons))
    if has_numbers(exact) and exact.numel() and not bool(exact.amin() >= 0):
        raise ValueError(
            f"the least {kind} is {float(exact.amin()):g}; expected 0 or above: give what `detect` returns"
        )
    rate = (exact if kind == "intensity" else exact.square()) * photons
    counted = torch.poisson(rate.to(_device(exact, generator)), generator=generator).to(exact.device) / photons
    return straight_through(counted if kind == "intensity" else counted.sqrt(), signal)


def _device(like: Tensor, generator: torch.Generator | None) -> torch.device:
    return like.device if generator is None else generator.device


def _check_kind(kind: str) -> None:
    if kind not in ("field", "amplitude", "intensity"):
        raise ValueError(f"there is no detector of `{kind}`; take `field`, `amplitude` or `intensity`")
