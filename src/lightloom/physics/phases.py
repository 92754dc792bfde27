"""From the phases that a controller asks for to the phases that light meets.

Every imperfection is one function with one knob that switches it off, and `realise` applies them in the order of the
hardware (Gu et al., L2ight, NeurIPS 2021: W(Omega Gamma Q(Phi) + Phi_b)):

    wrap -> quantise -> drive (gamma of each device) -> thermal crosstalk -> static bias -> dynamic noise

Phases are in rad, in the last dimension; any leading dimensions are blocks. All functions are differentiable; the
gradient of rounding is that of the identity (straight-through).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import ordinary
from lightloom.physics.execution import eager, forward_mode

TWO_PI = 2 * math.pi


def wrap(phases: Tensor) -> Tensor:
    """Phases modulo 2 pi, in [0, 2 pi): the least heat that gives the same interference."""
    return torch.remainder(phases, TWO_PI)


def straight_through(rounded: Tensor, exact: Tensor) -> Tensor:
    """The value of `rounded` with the gradient of `exact`."""
    if not eager() or forward_mode():
        return rounded.detach() + (exact - exact.detach())  # a difference of exactly 0
    if not exact.requires_grad:
        return rounded
    value: Tensor = _StraightThrough.apply(rounded, exact)  # type: ignore[no-untyped-call]
    return value


def quantise(values: Tensor, bits: int | None, *, span: float = TWO_PI) -> Tensor:
    """Round to the nearest of the 2^bits levels that divide [0, span] evenly, both ends included.

    Args:
        values: Any shape, in [0, span].
        bits: Width of the drive's converter, at least 1; None leaves the values exact.
        span: Full scale: 2 pi for a phase shifter of a mesh, pi for an attenuator.

    Raises:
        ValueError: `bits` is below 1.
    """
    if bits is None:
        return values
    if bits < 1:
        raise ValueError(f"a converter has at least 1 bit, got {bits}; use None for an exact drive")
    step = span / (2**bits - 1)
    return straight_through((values.detach() / step).round_().mul_(step), values)


def gamma(v_pi: float) -> float:
    """Drive coefficient gamma = pi / v_pi^2 in rad/V^2 of a phase shifter that needs `v_pi` volts for pi."""
    return math.pi / v_pi**2


def phase_to_voltage(phases: Tensor, coefficient: float | Tensor) -> Tensor:
    """Drive voltage V = sqrt(phase / gamma) of a thermo-optic shifter; `phases` >= 0 in rad, gamma in rad/V^2."""
    return torch.sqrt(phases / coefficient)


def voltage_to_phase(voltages: Tensor, coefficient: float | Tensor) -> Tensor:
    """Phase = gamma V^2 in rad: heat grows with the square of the voltage."""
    return coefficient * voltages.square()


def quantise_voltage(phases: Tensor, bits: int | None) -> Tensor:
    """Round the drive voltage instead of the phase: a plain DAC, whose steps in phase grow with the phase.

    Full scale is the voltage of 2 pi, so the coefficient gamma cancels. Shapes, errors: as `quantise`.
    """
    if bits is None:
        return phases
    voltages = phase_to_voltage(phases.detach() / TWO_PI, 1.0)
    return straight_through(TWO_PI * voltage_to_phase(quantise(voltages, bits, span=1.0), 1.0), phases)


def crosstalk(phases: Tensor, coupling: float, neighbours: Tensor) -> Tensor:
    """Add to each phase the share `coupling` of the heat of each neighbouring heater.

    Args:
        phases: [..., n], rad, at least 0: heat is never negative.
        coupling: Share of one heater's phase that a neighbour receives; 0 switches crosstalk off.
        neighbours: [n, m] indices as `mesh.neighbours` gives them, n where there is no neighbour.
    """
    if coupling == 0:
        return phases
    padded = torch.nn.functional.pad(phases, (0, 1))  # a cold heater stands where a neighbour is missing
    return phases + coupling * padded[..., neighbours].sum(-1)


def truncated_noise(like: Tensor, std: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Gaussian noise cut at two standard deviations, shaped as `like` (rad), drawn anew at every call."""
    noise = torch.empty_like(like, requires_grad=False)
    return torch.nn.init.trunc_normal_(noise, std=std, a=-2 * std, b=2 * std, generator=generator)


def realise(
    phases: Tensor,
    *,
    bits: int | None = None,
    dac: str = "phase",
    gamma_ratio: Tensor | None = None,
    coupling: float = 0.0,
    neighbours: Tensor | None = None,
    bias: Tensor | None = None,
    noise_std: float = 0.0,
) -> Tensor:
    """The phases that the light in a mesh meets when the controller asks for `phases`.

    Crosstalk spreads the heat of the driven phase as it is. The published code wraps it once more to [0, 2 pi)
    first, which lets a heater driven just past 2 pi give no heat at all; heat does not wrap.

    Args:
        phases: [..., n] commanded, rad.
        bits: Drive resolution; None is exact.
        dac: "phase" rounds the phase (published), "voltage" the drive voltage.
        gamma_ratio: [..., n] true over nominal gamma of each device; None is a perfect drive.
        coupling: Thermal crosstalk between neighbours; 0 is none.
        neighbours: [n, m] as `mesh.neighbours` gives them; needed where `coupling` is not 0.
        bias: [..., n] static phase error of each device, rad; None is none.
        noise_std: Standard deviation of the dynamic phase noise, rad; 0 is none.

    Returns:
        [..., n] realised phases, rad, not wrapped. The input is not modified.
    """
    heat = wrap(phases)
    heat = quantise(heat, bits) if dac == "phase" else quantise_voltage(heat, bits)
    if gamma_ratio is not None:
        heat = heat * ordinary(gamma_ratio)
    if coupling != 0:
        if neighbours is None:
            raise ValueError("crosstalk needs `neighbours`; take them from `mesh.neighbours`")
        heat = crosstalk(heat, coupling, ordinary(neighbours))
    if bias is not None:
        heat = heat + bias
    if noise_std > 0:
        heat = heat + truncated_noise(heat, noise_std)
    return heat


class _StraightThrough(torch.autograd.Function):
    """The first argument forwards, the second backwards; exact, where a + (b - a) would round."""

    @staticmethod
    def forward(ctx: Any, rounded: Tensor, exact: Tensor) -> Tensor:
        return rounded.clone() if rounded is exact else rounded.view_as(rounded)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor]:
        return None, grad
