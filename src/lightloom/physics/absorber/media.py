"""What a saturable absorber is made of, and how its absorption falls in bright light."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from lightloom.physics.execution import has_numbers

Form = Literal["thin", "propagated"]
"""Absorption is set by the light that enters ("thin"), or by the light at every depth ("propagated")."""

Broadening = Literal["homogeneous", "inhomogeneous"]
"""All atoms share one line, or each its own, as in a gas with a wide Doppler profile or a glass."""

MOST_GAIN = 80.0
"""Largest gain of intensity, as an exponent: e^80 still is a number in single precision. No amplifier gets there."""

THICKEST = 1e30
"""Optical depth; in single precision it is a number, too."""

MOST_INTEGRATED = 1100.0
"""Optical and residual depth together where propagation is integrated: 15 s for a million values on one core."""

BRIGHTEST = 1e18
"""Brighter light, over the saturation intensity, passes as this does: there is nothing left to saturate."""

SATURATION = 1e-30, 1e30
"""Least and largest saturation intensity; in single precision its reciprocal is a number, too."""


class Medium(NamedTuple):
    """A saturable absorber or amplifier; intensities may have any unit, all the same one.

    Numbers, or tensors that broadcast against the light.
    """

    optical_depth: float | Tensor = 10.0
    """a, of intensity and unsaturated: faint light falls to e^-a. Below 0 the medium amplifies."""
    saturation: float | Tensor = 1.0
    """Intensity, above 0, at which absorption on a homogeneous line has halved."""
    residual: float = 0.0
    """Optical depth, of intensity, that never saturates; 0 or above."""
    form: Form = "thin"
    broadening: Broadening = "homogeneous"


def check(medium: Medium) -> None:
    """Refuse a medium that cannot be.

    Raises:
        ValueError: The optical depth is outside -80 ... 1e30, the saturation intensity outside `SATURATION`, the
            residual depth negative or not finite, form or broadening unknown, or the medium deeper than propagation
            with residual loss is followed.
    """
    thinnest, thickest = _ends(medium.optical_depth)
    if not (thinnest >= -MOST_GAIN and thickest <= THICKEST):
        raise ValueError(
            f"the optical depth is a finite number, {-MOST_GAIN:g} ... {THICKEST:g} (below 0 the medium amplifies), "
            f"got {_told(thinnest, thickest)}; give a smaller gain or depth, or look for the step that diverged"
        )
    least, largest = _ends(medium.saturation)
    if not (least >= SATURATION[0] and largest <= SATURATION[1]):
        raise ValueError(
            "the saturation intensity is above 0, "
            f"within {SATURATION[0]:g} ... {SATURATION[1]:g}, got {_told(least, largest)}; "
            "give it in the unit of the light, and where nothing saturates take a weight instead"
        )
    if not (medium.residual >= 0 and math.isfinite(medium.residual)):
        raise ValueError(
            f"the residual optical depth is finite and 0 or above, got {medium.residual}; "
            "light that is amplified whatever its intensity has no medium here"
        )
    if medium.form not in ("thin", "propagated"):
        raise ValueError(f"the form of a medium is `thin` or `propagated`, got `{medium.form}`")
    if medium.broadening not in ("homogeneous", "inhomogeneous"):
        raise ValueError(f"a line is broadened `homogeneous` or `inhomogeneous`, got `{medium.broadening}`")
    if medium.form == "propagated" and medium.residual > 0:
        deepest = max(-thinnest, thickest) + medium.residual
        if deepest > MOST_INTEGRATED:
            raise ValueError(
                f"propagation with residual loss is followed in steps, up to {MOST_INTEGRATED:g} of optical and "
                f"residual depth together, got {deepest:g}; give a smaller `optical_depth` or `residual`, or take "
                '`residual=0` or `form="thin"`, which are solved at any depth'
            )


def absorption(total: Tensor, broadening: Broadening) -> tuple[Tensor, Tensor]:
    """What is left of the optical depth in light of intensity S, and how fast that falls.

    With u = 1 / (1 + S): h = u on a homogeneous line; sqrt(u) on an inhomogeneous one, far wider than the line of each
    atom (Siegman, Lasers, 1986, chapter 30).

    Args:
        total: Intensity over that of saturation, 0 or above and finite.
        broadening: Of the line.

    Returns:
        h and -d h / d ln S, both shaped as `total`.
    """
    unsaturated = (1 + total).reciprocal()
    if broadening == "homogeneous":
        return unsaturated, unsaturated * (1 - unsaturated)
    left = unsaturated.sqrt()
    return left, 0.5 * left * (1 - unsaturated)


def _ends(value: float | Tensor) -> tuple[float, float]:
    """Smallest and largest; NaN if one is NaN. What has no numbers to look at counts as 1."""
    if not isinstance(value, Tensor):
        return float(value), float(value)
    if not has_numbers(value):
        return 1.0, 1.0
    low, high = torch.aminmax(value.detach())
    return float(low), float(high)


def _told(low: float, high: float) -> str:
    return f"{low:g}" if low == high or math.isnan(low) else f"{low:g} ... {high:g}"
