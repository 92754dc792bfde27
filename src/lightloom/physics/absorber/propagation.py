"""How much of the light passes, and how that changes with the light and with the medium.

Light of intensity S, in units of the saturation intensity, keeps the share T:

- thin: ln T = -(a h(S) + r), with S as it enters (Guo, Barrett, Wang & Lvovsky, Photonics Research 9, B71, 2021);
- propagated: dS/dz = -(a h(S) + r) S over z = 0 ... 1, and ln T = ln S(1) / S(0).

Without residual loss the latter has an implicit solution, F(t) = 0 for t = ln T, with S_out = S e^t:

    homogeneous: F = t + S_out - S + a, so that S_out = omega(ln S + S - a) with Wright's omega function;
    inhomogeneous: F = t + 2 (y_out - y) - 2 ln((y_out + 1) / (y + 1)) + a, with y = sqrt(1 + S).

Both are solved for t, where nothing overflows and no light at all is light like any other. F' is 1 / h(S_out).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.physics.absorber.media import Broadening, Medium, absorption

_CORRECTIONS = 3
"""Number of Halley's corrections: an error e of t becomes at most e^3 / 12, and the first guess is within 0.25."""

_STEPS_PER_DEPTH, _FEWEST_STEPS = 2, 16


class Transmission(NamedTuple):
    """The logarithm of T and its slopes, each shaped as the light."""

    log_share: Tensor
    """ln T."""
    rise: Tensor
    """d ln T / d ln S: by how much faster than the light that enters the light that leaves grows."""
    by_depth: Tensor
    """d ln T / d a."""


def transmission(total: Tensor, depth: Tensor, medium: Medium) -> Transmission:
    """What light of intensity `total` meets.

    Args:
        total: [...] S, finite and 0 or above.
        depth: a, broadcastable against it.
        medium: Its other properties.
    """
    if solvable(medium):
        return _solved(total, depth, medium.broadening)
    if medium.form == "propagated":
        deepest = medium.optical_depth
        deepest = float(deepest.detach().abs().max()) if isinstance(deepest, Tensor) else deepest
        return _integrated(total, depth, medium.residual, medium.broadening, steps(deepest, medium.residual))
    left, fall = absorption(total, medium.broadening)
    return Transmission(-(depth * left + medium.residual), depth * fall, -left)


def log_share(total: Tensor, depth: Tensor, medium: Medium) -> Tensor:
    """The logarithm of T with its graph, to be differentiated as often and by whatever of its inputs one likes.

    A solution in closed form is found without a graph; two more corrections of Halley's, with one, then leave it where
    it is and have the derivatives of the exact solution up to the eighth. Arguments are those of `transmission`.

    Args:
        total: [...] S, finite and 0 or above.
        depth: a, broadcastable against it.
        medium: Its other properties.
    """
    if not solvable(medium):
        return transmission(total, depth, medium).log_share
    with torch.no_grad():
        t = _solved(total.detach(), depth.detach(), medium.broadening).log_share
    balance = _even if medium.broadening == "homogeneous" else _uneven
    for _ in range(2):
        miss, slope, bend, _ = balance(t, total)
        miss = miss + depth
        t = t - miss / (slope - 0.5 * miss * bend / slope)
    return t


def solvable(medium: Medium) -> bool:
    """Whether propagation has the implicit solution."""
    return medium.form == "propagated" and medium.residual == 0


def steps(depth: float, residual: float) -> int:
    """How many steps propagation is integrated in, where it must be.

    Args:
        depth: The largest optical depth a.
        residual: Residual loss r.
    """
    return max(_FEWEST_STEPS, math.ceil(_STEPS_PER_DEPTH * (abs(depth) + residual)))


def _solved(total: Tensor, depth: Tensor, broadening: Broadening) -> Transmission:
    """Propagation without residual loss: Halley's iteration on F.

    Ln T is at least minus the depth, or 0 with gain, and as F is convex at most where Newton's step from 0 lands; an
    absorber does not amplify by rounding, either.
    """
    balance, guess = (_even, _even_guess) if broadening == "homogeneous" else (_uneven, _uneven_guess)
    most = -depth / balance(torch.zeros_like(total), total)[1]
    least = -depth.clamp(min=0)
    t = guess(total, depth).clamp(min=least).minimum(most)
    for _ in range(_CORRECTIONS):
        miss, slope, bend, _ = balance(t, total)
        miss = miss + depth
        t = t - miss / (slope - 0.5 * miss * bend / slope)
    t = t.clamp(min=least).minimum(most)
    _, slope, _, lost = balance(t, total)
    return Transmission(t, lost / slope, -slope.reciprocal())


def _even(t: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """F - a, F', F'' and 1 / h(S) - 1 / h(S_out) on a homogeneous line."""
    gained = total * torch.expm1(t)
    out = total + gained
    return t + gained, 1 + out, out, -gained


def _even_guess(total: Tensor, depth: Tensor) -> Tensor:
    """Coarse ln T, from fits of omega above and below z = 0."""
    beyond = total - depth
    z = total.log() + beyond
    bright = z.clamp(min=0)
    bright = ((0.5671 + bright - torch.log1p(0.638 * bright)) / total).log()
    return torch.where(z > 0, bright, beyond - 0.5671 / (1 + z * (0.25 * z - 0.64)))


def _uneven(t: Tensor, total: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same on an inhomogeneous line."""
    gained = total * torch.expm1(t)
    out = total + gained
    entering, leaving = (1 + total).sqrt(), (1 + out).sqrt()
    more = gained / (entering + leaving)  # leaving - entering, without cancellation
    bend = 0.5 * out / leaving
    # of the ratio's two sides the one that stays well above -1, however deep the medium
    return t + 2 * (more + torch.log1p(-more / (1 + leaving))), leaving, bend, -more


def _uneven_guess(total: Tensor, depth: Tensor) -> Tensor:
    """The guess of `_even_guess`, with y_out for omega."""
    entering = (1 + total).sqrt()
    beyond = 2 * (entering - 1 - torch.log(0.5 + 0.5 * entering)) - depth
    z = total.log() + beyond
    half = 0.5 * z.clamp(min=0)
    bright = (((0.307 + half + 1 / (1 + half)).square() - 1) / total).log()
    return torch.where(z > 0, bright, beyond - 0.33 / (1 + z * (0.35 * z - 0.7)))


def _integrated(
    total: Tensor, depth: Tensor, residual: float, broadening: Broadening, number: int | None = None
) -> Transmission:
    """Propagation with residual loss: Runge and Kutta's fourth-order rule in ln S, the slopes integrated beside it.

    An approximation: with the steps taken here ln T is within 2e-5, as measured at depths -100 ... 100.
    The slope of the output has the closed form k(S_out) / k(S_in) with k = a h + r, but that is 0 / 0 where gain and
    loss balance; its logarithm is the integral of a plain function of S.
    """

    def rates(t: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        left, fall = absorption(total * t.exp(), broadening)
        growth = depth * fall
        return -(depth * left + residual), growth, growth * v - left

    number = steps(float(depth.abs().max()), residual) if number is None else number
    size = 1 / number
    t, log_slope, v = (torch.zeros_like(total * depth) for _ in range(3))
    for _ in range(number):
        first = rates(t, v)
        second = rates(t + size / 2 * first[0], v + size / 2 * first[2])
        third = rates(t + size / 2 * second[0], v + size / 2 * second[2])
        fourth = rates(t + size * third[0], v + size * third[2])
        t, log_slope, v = (
            value + size / 6 * (a + 2 * b + 2 * c + d)
            for value, a, b, c, d in zip((t, log_slope, v), first, second, third, fourth, strict=True)
        )
    return Transmission(t, torch.expm1(log_slope), v)
