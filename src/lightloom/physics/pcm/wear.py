"""What writing takes from phase-change cells: pulses, energy, time, life.

`rises` make a cell more transparent, which amorphises it; `falls` crystallise it. Both cells of a pair are counted with
their own changes. (The published script reads the positive array where it means the negative one, and swaps the two
constants there.) How changes of level become pulses depends on the device:

    per_level    every step between two levels is a pulse (Zhu et al., ELight, ASP-DAC 2022)
    per_cell     one pulse reaches any level from any other (Li et al., Optica 6, 1 (2019))
    erase_write  one pulse erases the cell, which crystallises it, and one amorphises it to its level; a change to the
                 erased level needs the first alone
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from lightloom.physics.pcm.writes import Writes

WriteModel = Literal["per_level", "per_cell", "erase_write"]

CYCLES_PER_PULSE = 1.0
"""A pulse is taken to wear a cell like a whole cycle of the measured endurance, up and down: on the safe side."""

SECONDS_PER_YEAR = 365.25 * 24 * 3600


def pulses(writes: Writes, model: WriteModel) -> Tensor:
    """Pulses per inference of each cell, [A, 2, k, k] float64.

    Args:
        writes: What is written to each cell in one inference.
        model: How a change of level is made of pulses.
    """
    amorphise, crystallise = _pulses(writes, model)
    return (amorphise + crystallise).double() / writes.inferences


def energy(writes: Writes, model: WriteModel, amorphise: float, crystallise: float) -> float:
    """Energy in J that writing takes for one inference.

    Args:
        writes: Of a tensor core.
        model: How changes of level become pulses.
        amorphise: J of one pulse that makes a cell more transparent.
        crystallise: J of one pulse that makes a cell darker.
    """
    up, down = (int(counted.sum()) for counted in _pulses(writes, model))
    return (up * amorphise + down * crystallise) / writes.inferences


def latency(writes: Writes, model: WriteModel, amorphise: float, crystallise: float) -> float:
    """Time in s that writing takes for one inference: all cells at once, so the slowest one of every turn.

    Args:
        writes: Of a tensor core.
        model: How changes of level become pulses. Where cells are erased first, a turn that changes anything takes one
            erasure and one pulse.
        amorphise: s of one pulse that makes a cell more transparent.
        crystallise: s of one pulse that makes a cell darker.
    """
    rise, fall = writes.highest_rise, writes.highest_fall
    if model == "erase_write":
        turns = float(((rise > 0) | (fall > 0)).sum()) * (amorphise + crystallise)
        return turns / writes.inferences
    if model == "per_cell":
        rise, fall = (rise > 0).int(), (fall > 0).int()
    slowest = torch.maximum(rise.double() * amorphise, fall.double() * crystallise)
    return float(slowest.sum()) / writes.inferences


def lifetime(pulses: Tensor, endurance: float | Tensor, share: float = 0.0) -> float:
    """Inferences until the first cell fails, or until a share of all cells has; inf where that never happens.

    Args:
        pulses: Per inference of each cell, any shape.
        endurance: Cycles that a cell takes, a number or one per cell.
        share: Of the cells; 0 asks for the first one.

    Raises:
        ValueError: There are no cells, or the share is not within [0, 1].
    """
    if not 0 <= share <= 1 or not pulses.numel():
        raise ValueError(
            f"a share of {share} of {pulses.numel()} cells; expected one or more cells and 0 <= share <= 1"
        )
    cycles = pulses.double() * CYCLES_PER_PULSE
    lives = torch.where(cycles > 0, endurance / cycles, math.inf).flatten()
    failed = max(1, math.ceil(share * lives.numel() - 1e-9))
    return float(lives.kthvalue(failed).values)


def years(inferences: float, rate: float) -> float:
    """Years that so many inferences take.

    Args:
        inferences: As `lifetime` gives them; inf stays inf.
        rate: Inferences per second, in Hz.

    Raises:
        ValueError: The rate is not above 0.
    """
    if not rate > 0:
        raise ValueError(f"a rate is above 0 Hz, got {rate}")
    return inferences / rate / SECONDS_PER_YEAR


def _pulses(writes: Writes, model: WriteModel) -> tuple[Tensor, Tensor]:
    """Pulses of each cell [A, 2, k, k] that amorphise and that crystallise, over all of `writes.inferences`."""
    if model == "per_level":
        return writes.rises, writes.falls
    if model == "per_cell":
        return writes.raised, writes.lowered
    if model == "erase_write":
        changes = writes.raised + writes.lowered
        return changes - writes.cleared, changes
    raise ValueError(f"`{model}` is no way of writing; known: per_level, per_cell, erase_write")
