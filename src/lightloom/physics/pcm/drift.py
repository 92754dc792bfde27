"""What time does to written cells: the power law, and the statistics of electrically read cells.

Light reads a phase-change cell without measurable drift (Rios et al., Sci. Adv. 5, eaau5759 (2019)), so the exponent of
an optical cell is 0 unless it is set. The electronic model is that of a million cells read by their conductance
(Joshi et al., Nat. Commun. 11, 2473 (2020); Nandakumar et al., ICECS 2019; as in IBM's aihwkit): programming error,
drift with an exponent of its own for each cell, and 1/f noise. It stands here for comparison. Conductances g are in
units of the largest, 25 uS.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST_CONDUCTANCE = 25.0
"""Largest conductance of a cell in uS: the unit of the conductances here."""
FIRST_READ = 20.0
"""t0 in s: when a written cell is first read; drift is counted from there."""
READ_TIME = 250e-9
"""Duration of one electronic read, in s."""


def normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers shaped as `like`; a generator of another device draws there.

    Args:
        like: Tensor whose shape, type and device the numbers have.
        generator: Where the randomness comes from; None is torch's own.
    """
    device = like.device if generator is None else generator.device
    return torch.randn(like.shape, dtype=like.dtype, device=device, generator=generator).to(like.device)


def power_law(values: Tensor, exponent: float | Tensor, time: float) -> Tensor:
    """Values after `time` seconds, v (t / t0)^-nu; up to t0 = 20 s they stay.

    Args:
        values: Transmissions or conductances, any shape.
        exponent: nu, a number or one per value; 0 switches drift off.
        time: Seconds since the cells were written.
    """
    if time <= FIRST_READ or (isinstance(exponent, float) and exponent == 0):
        return values
    return values * (time / FIRST_READ) ** -exponent


def programming_std(targets: Tensor) -> Tensor:
    """Standard deviation of a programmed conductance: a parabola in the target, both in units of 25 uS."""
    error = -1.1731 * targets.square() + 1.9650 * targets + 0.26348
    return error.clamp(min=0) / LARGEST_CONDUCTANCE


def program(targets: Tensor, drawn: Tensor) -> Tensor:
    """Conductances as they are written, never below 0, for targets in [0, 1] and `drawn` standard normal.

    Args:
        targets: [...] conductances that are asked for, in [0, 1].
        drawn: [...] standard normal, one for each write.
    """
    return (targets + programming_std(targets) * drawn).clamp_(min=0)


def exponent_mean(targets: Tensor) -> Tensor:
    """Mean drift exponent of cells with these targets, from 0.049 (bright) to 0.1 (dark)."""
    return (-0.0155 * targets.log() + 0.0244).clamp(0.049, 0.1)


def exponent_std(targets: Tensor) -> Tensor:
    """Spread of the drift exponent between cells with these targets, from 0.008 to 0.045."""
    return (-0.0125 * targets.log() - 0.0059).clamp(0.008, 0.045)


def exponents(targets: Tensor, drawn: Tensor) -> Tensor:
    """A drift exponent for each cell, at least 0, for `drawn` standard normal.

    Args:
        targets: [...] conductances that were asked for, in [0, 1].
        drawn: [...] standard normal, one for each write.
    """
    return (exponent_mean(targets) + exponent_std(targets) * drawn).abs_()


def read_std(programmed: Tensor, drifted: Tensor, time: float) -> Tensor:
    """Standard deviation of the 1/f noise that has gathered after `time` seconds.

    Args:
        programmed: Conductances as they were written.
        drifted: The same now.
        time: Seconds since then.
    """
    share = (0.0088 / programmed**0.65).clamp(max=0.2)
    return drifted * share * math.sqrt(math.log((time + READ_TIME) / (2 * READ_TIME)))


def read(programmed: Tensor, exponent: Tensor, time: float, generator: torch.Generator | None = None) -> Tensor:
    """Conductances read `time` seconds after they were written, at t0 at the earliest: drifted and noisy.

    Args:
        programmed: Conductances as they were written.
        exponent: Drift exponent of each.
        time: Seconds since then.
        generator: Of the noise.
    """
    time = max(time, FIRST_READ)
    drifted = power_law(programmed, exponent, time)
    return drifted + read_std(programmed, drifted, time) * normal(drifted, generator)


def compensation(programmed: Tensor, now: Tensor, inputs: tuple[int, ...]) -> Tensor:
    """The factor that undoes the common part of the drift: outputs for an input of ones, as written over now.

    Args:
        programmed: Weights as they were written.
        now: The same now.
        inputs: Their dimensions that a matrix product sums over.

    Returns:
        A number, 1 where the outputs are all 0.
    """
    before, after = (weights.sum(inputs).abs().sum() for weights in (programmed, now))
    return torch.where((before > 0) & (after > 0), before / after, 1.0)
