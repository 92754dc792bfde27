"""From the phases that a controller asks for to the phases that light meets.

Every imperfection is one function with one knob that switches it off, and `realise` applies them in the order of the
hardware (Gu et al., L2ight, NeurIPS 2021: W(Omega Gamma Q(Phi) + Phi_b)):

    wrap -> quantise -> drive (gamma of each device) -> thermal crosstalk -> static bias -> dynamic noise

There is no other chain: a core in training, many specimens at once, the bench, the digital twin and exports all go
through it. A new imperfection is a function here and its place in `driven`, `heat` or `spread`; what it takes is a
field of `Drive` where the whole chip shares it, of `Imperfections` where each device has a value of its own.

Phases are in rad, in the last dimension; any leading dimensions are blocks, and specimens in front of them. All
functions are differentiable; the gradient of rounding is that of the identity (straight-through).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import ordinary
from lightloom.physics.rounding import quantise, straight_through

TWO_PI = 2 * math.pi


def wrap(phases: Tensor) -> Tensor:
    """Phases modulo 2 pi, in [0, 2 pi): the least heat that gives the same interference."""
    return torch.remainder(phases, TWO_PI)


def gamma(v_pi: float) -> float:
    """Drive coefficient gamma = pi / v_pi^2 in rad/V^2 of a phase shifter that needs `v_pi` volts for pi."""
    return math.pi / v_pi**2


def phase_to_voltage(phases: Tensor, coefficient: float | Tensor) -> Tensor:
    """Drive voltage V = sqrt(phase / gamma) of a thermo-optic shifter; `phases` >= 0 in rad, gamma in rad/V^2.

    Args:
        phases: Any shape, at least 0, in rad.
        coefficient: Drive coefficient gamma in rad/V^2.
    """
    return torch.sqrt(phases / coefficient)


def voltage_to_phase(voltages: Tensor, coefficient: float | Tensor) -> Tensor:
    """Phase = gamma V^2 in rad: heat grows with the square of the voltage.

    Args:
        voltages: Any shape, in V.
        coefficient: Drive coefficient gamma in rad/V^2.
    """
    return coefficient * voltages.square()


def quantise_voltage(phases: Tensor, bits: int | None) -> Tensor:
    """Round the drive voltage instead of the phase: a plain DAC, whose steps in phase grow with the phase.

    Full scale is the voltage of 2 pi, so the coefficient gamma cancels. Shapes, errors: as `quantise`.

    Args:
        phases: Any shape, in [0, 2 pi], in rad.
        bits: Width of the drive's converter, at least 1; None leaves the phases exact.
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


def neighbour_heat(phases: Tensor, neighbours: Tensor) -> Tensor:
    """The sum of the heat of each heater's neighbours, [..., n] in rad.

    Args:
        phases: [..., n], rad, the heat of each heater by itself.
        neighbours: [n, m] indices as `mesh.neighbours` gives them, n where there is no neighbour.
    """
    return crosstalk(phases, 1.0, neighbours) - phases


def truncated_noise(like: Tensor, std: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Gaussian noise cut at two standard deviations, shaped as `like` (rad), drawn anew at every call.

    Args:
        like: Tensor whose shape, type and device the noise has.
        std: Standard deviation before the cut, in rad.
        generator: Where the randomness comes from; None is torch's own.
    """
    noise = torch.empty_like(like, requires_grad=False)
    return torch.nn.init.trunc_normal_(noise, std=std, a=-2 * std, b=2 * std, generator=generator)


class Drive(NamedTuple):
    """What all phase shifters of a mesh share: how they are driven, and what their chip does to all of them.

    The defaults are a perfect chip.
    """

    bits: int | None = None
    """Resolution of the drive; None is exact."""
    dac: str = "phase"
    """What is rounded: "phase" (published) or "voltage"."""
    coupling: float | Tensor = 0.0
    """Share of one heater's phase that each neighbour receives; a tensor is broadcast against the phases."""
    neighbours: Tensor | None = None
    """[n, m] as `mesh.neighbours` gives them; needed where `coupling` is not 0."""
    warming: Tensor | None = None
    """[n, n] as `mesh.warming_matrix` gives it: the neighbours as a matrix, faster for many blocks of few shifters."""
    noise_std: float = 0.0
    """Standard deviation of the dynamic phase noise in rad, which is drawn anew at every call."""


class Imperfections(NamedTuple):
    """What is wrong with each phase shifter, [..., n]; None is a shifter without that fault."""

    gamma: Tensor | None = None
    """True over nominal drive coefficient."""
    bias: Tensor | None = None
    """Static phase error in rad."""

    def take(self, index: int | slice) -> Imperfections:
        """The faults of some of the shifters."""
        return Imperfections(*(None if error is None else error[..., index] for error in self))


_PERFECT_DRIVE, _PERFECT = Drive(), Imperfections()


def realise(
    commanded: Tensor,
    drive: Drive = _PERFECT_DRIVE,
    imperfections: Imperfections = _PERFECT,
    *,
    specimens: int | None = None,
) -> Tensor:
    """The phases that the light in a mesh meets when the controller asks for `commanded`.

    Args:
        commanded: [..., n] in rad; left as it is.
        drive: What the shifters share.
        imperfections: What is wrong with each; [S, ..., n] are those of S specimens at once.
        specimens: Number S of specimens where they are several; noise is drawn for each.

    Returns:
        [..., n] in rad, or [S, ..., n]; not wrapped.

    Raises:
        ValueError: `drive.bits` is below 1, or there is crosstalk and nobody is said to be a neighbour.
    """
    own = heat(driven(commanded, drive), imperfections)
    own = own if specimens is None else own.expand(specimens, *commanded.shape)
    return spread(own, drive, imperfections)


def driven(commanded: Tensor, drive: Drive = _PERFECT_DRIVE) -> Tensor:
    """The phase in rad that each shifter is driven to, the first third of `realise`: what the electronics make.

    Args:
        commanded: [..., n] in rad.
        drive: What the shifters share.
    """
    wrapped = wrap(commanded)
    return quantise(wrapped, drive.bits, span=TWO_PI) if drive.dac == "phase" else quantise_voltage(wrapped, drive.bits)


def heat(nominal: Tensor, imperfections: Imperfections = _PERFECT) -> Tensor:
    """The phase in rad that each heater gives by itself, the second third of `realise`: a matter of each device alone.

    Args:
        nominal: [..., n] in rad, as `driven` gives it.
        imperfections: What is wrong with each.
    """
    return nominal if imperfections.gamma is None else nominal * ordinary(imperfections.gamma)


def spread(own: Tensor, drive: Drive = _PERFECT_DRIVE, imperfections: Imperfections = _PERFECT) -> Tensor:
    """The phases in rad that heaters make together, the last third of `realise`.

    The heat of the driven phase spreads as it is. The published code wraps it once more to [0, 2 pi) first, which lets
    a heater driven just past 2 pi give no heat at all; heat does not wrap.

    Args:
        own: [..., n] in rad, as `heat` gives it.
        drive: What the shifters share.
        imperfections: What is wrong with each.
    """
    realised = _warmed(own, drive)
    if imperfections.bias is not None:
        realised = realised + imperfections.bias
    if drive.noise_std > 0:
        realised = realised + truncated_noise(realised, drive.noise_std)
    return realised


class ShifterState(NamedTuple):
    """Where shifters are that are moved one at a time."""

    heat: Tensor
    """[..., n], what `heat` gives."""
    realised: Tensor
    """[..., n], what `realise` gives."""


def move_all(commanded: Tensor, drive: Drive, imperfections: Imperfections) -> ShifterState:
    """Drive every shifter; `realised` is what `realise` gives.

    Args:
        commanded: [..., n] in rad.
        drive: What the shifters share.
        imperfections: What is wrong with each.
    """
    own = heat(driven(commanded, drive), imperfections)
    return ShifterState(own.clone(), spread(own, drive, imperfections))


def move_one(state: ShifterState, index: int, commanded: Tensor, drive: Drive, imperfections: Imperfections) -> None:
    """Drive one shifter anew: by crosstalk its neighbours move as well, and nothing else does.

    This holds where `spread` is affine in the heat and without dynamic noise.

    Args:
        state: Where all shifters are; it is changed in place.
        index: Which shifter.
        commanded: [...] in rad, what it is asked for now.
        drive: What the shifters share, with their neighbours where there is crosstalk.
        imperfections: What is wrong with each.
    """
    warmth = heat(driven(commanded, drive), imperfections.take(index))
    change = (warmth - state.heat[..., index]).unsqueeze(-1)
    state.heat[..., index] = warmth
    state.realised[..., index : index + 1] += change
    if isinstance(drive.coupling, Tensor) or drive.coupling != 0:
        near = _present(drive.neighbours)[index]
        near = near[near < state.heat.shape[-1]]
        state.realised.index_add_(-1, near, (drive.coupling * change).expand(*change.shape[:-1], len(near)))


def _warmed(own: Tensor, drive: Drive) -> Tensor:
    """`crosstalk`, as a product with the matrix of who warms whom where that is known."""
    if isinstance(drive.coupling, Tensor):
        return own + drive.coupling * neighbour_heat(own, _present(drive.neighbours))
    if drive.coupling == 0:
        return own
    if drive.warming is None:
        return crosstalk(own, drive.coupling, ordinary(_present(drive.neighbours)))
    flat = own.reshape(-1, own.shape[-1])
    return torch.addmm(flat, flat, drive.warming.T, alpha=drive.coupling).view(own.shape)


def _present(neighbours: Tensor | None) -> Tensor:
    if neighbours is None:
        raise ValueError("crosstalk needs `neighbours`; take them from `mesh.neighbours`")
    return neighbours
