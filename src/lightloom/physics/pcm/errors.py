"""From the levels that a controller asks for to the weights that light meets.

Every imperfection is one function with one knob that switches it off, and `realise` applies them in the order of the
hardware:

    stuck cells -> absorption of each cell -> programming error -> drift -> read noise -> difference of the pair

The darkest level still transmits t[L]. In a pair of perfect cells that cancels; where the two differ, it does not, and
that limit of the extinction is part of every error here.

Tensors of an order of writing have the shape [A, k, Q, k]: array, row, turn, slot. Tensors of cells have [A, 2, k, k]:
array, sign (positive first), row, slot.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.physics.execution import has_numbers
from lightloom.physics.pcm import drift
from lightloom.physics.pcm.levels import PAD, magnitudes, signed


def nominal(sequence: Tensor, table: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Weights of perfect cells: one look-up, the same numbers as `from_levels`, and 0 where nothing sits.

    Args:
        sequence: int8, any shape: signed levels, or `PAD`.
        table: [L + 1] transmission of each level.
        dtype: Of the weights.

    Raises:
        ValueError: A level is beyond L.
    """
    steps = _check_levels(sequence, table)
    weights = torch.zeros(steps - PAD + 1, dtype=dtype, device=sequence.device)
    weights[-steps - PAD :] = signed(magnitudes(table)).to(weights)
    return weights[sequence.int() - PAD]


def steps_of(levels: Tensor, sign: int, steps: int) -> Tensor:
    """Crystallised steps n of the cells of one sign, int8, shaped as the signed `levels`; sign 0 is positive.

    Args:
        levels: int8, any shape, signed.
        sign: 0 is the positive cells, 1 the negative ones.
        steps: Steps L of a cell from its most transparent level to its darkest.
    """
    return steps - levels.clamp(min=0) if sign == 0 else steps + levels.clamp(max=0)


def stick(crystallised: Tensor, stuck: Tensor | None) -> Tensor:
    """The steps n at which cells really are: stuck ones do not follow.

    Args:
        crystallised: int8 [A, k, Q, k] as commanded.
        stuck: int8 [A, k, k]: steps at which a cell is stuck, below 0 where it switches; None: none is.
    """
    if stuck is None:
        return crystallised
    stuck = stuck.unsqueeze(2)
    return torch.where(stuck < 0, crystallised, stuck)


def absorb(transmissions: Tensor, absorption: Tensor | None) -> Tensor:
    """Transmissions t^a of cells whose steps absorb a times as much as they should (Beer-Lambert).

    Args:
        transmissions: [A, k, Q, k].
        absorption: [A, k, k] true over nominal absorption; None is nominal.
    """
    return transmissions if absorption is None else transmissions ** absorption.unsqueeze(2)


def unwritten(crystallised: Tensor, empty: Tensor) -> Tensor:
    """A mask of cells that are not written: they hold the level already, or nothing sits there and they stay as is.

    Args:
        crystallised: int8 [A, k, Q, k] steps n of the cells of one sign.
        empty: bool [A, k, Q, k]: nothing sits here.

    Returns:
        bool [A, k, Q, k]; at its first turn a cell is written in any case.
    """
    idle = empty.clone()
    idle[:, :, 0] = False
    state = crystallised[:, :, 0]
    for turn in range(1, crystallised.shape[2]):
        state_then, state = state, torch.where(empty[:, :, turn], state, crystallised[:, :, turn])
        idle[:, :, turn] = state == state_then
    return idle


def hold(drawn: Tensor, idle: Tensor) -> Tensor:
    """Keep in `drawn` [A, k, Q, k] what belongs to the last write of each cell; changes it and returns it.

    Args:
        drawn: [A, k, Q, k], changed in place.
        idle: bool [A, k, Q, k], where a cell is not written, as `unwritten` gives it.
    """
    for turn in range(1, drawn.shape[2]):
        drawn[:, :, turn] = torch.where(idle[:, :, turn], drawn[:, :, turn - 1], drawn[:, :, turn])
    return drawn


def misprogram(transmissions: Tensor, std: float | Tensor, drawn: Tensor | None) -> Tensor:
    """Transmissions with the error of their last write, normal, never below 0.

    The published optical figure is a standard deviation of the computed value below 0.007 of full scale (Zhou et al.,
    Nat. Commun. 14, 2887 (2023)).

    Args:
        transmissions: [A, k, Q, k].
        std: Standard deviation of one write, as a transmission; 0 switches the error off.
        drawn: [A, k, Q, k] standard normal, one per write, see `hold`; needed where `std` is not 0.
    """
    if drawn is None or (not isinstance(std, Tensor) and std == 0):
        return transmissions
    return _spread(transmissions, drawn, std).clamp_(min=0)


def read_noise(transmissions: Tensor, std: float | Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Transmissions with normal noise of their reading, new at every use; a `std` of 0 switches it off.

    Args:
        transmissions: [A, k, Q, k].
        std: Standard deviation of one reading, as a transmission; 0 switches the noise off.
        generator: Where the randomness comes from; None is torch's own.
    """
    if not isinstance(std, Tensor) and std == 0:
        return transmissions
    return _spread(transmissions, drift.normal(transmissions, generator), std)


def _spread(values: Tensor, noise: Tensor, std: float | Tensor) -> Tensor:
    return values + std * noise if isinstance(std, Tensor) else torch.add(values, noise, alpha=std)


class CellErrors(NamedTuple):
    """Errors of the cells of A arrays; None where cells have no such error, which is the default of each.

    Shapes: [A, 2, k, k], the positive cells first, then row and slot.
    """

    absorption: Tensor | None = None
    """Absorption per step over the nominal one: a cell transmits t^absorption where it should transmit t."""
    stuck: Tensor | None = None
    """int8: crystallised steps n at which a cell is stuck, below 0 where it switches."""


class CellNoise(NamedTuple):
    """What all cells share: errors of writing and reading, and drift. The defaults are perfect cells."""

    programming_std: float = 0.0
    """Standard deviation of a written transmission over full scale t[0] - t[L]."""
    read_noise_std: float = 0.0
    """Standard deviation of the noise of a cell's transmission over full scale."""
    drift_nu: float = 0.0
    """Exponent of the drift, see `drift.power_law`; 0 for light."""
    drift_time: float = 0.0
    """Seconds from writing to reading."""
    electronic: bool = False
    """Whether cells are read by their conductance, with the model of `drift`, instead of with light: its programming
    error, drift and noise stand in for those above, and its global compensation follows."""

    @property
    def drifts(self) -> bool:
        """Whether light finds another transmission than the one that was written."""
        return self.drift_nu != 0 and self.drift_time > drift.FIRST_READ

    @property
    def renewed(self) -> bool:
        """Whether transmissions change with every write or reading."""
        return bool(self.programming_std or self.read_noise_std or self.electronic)


_PERFECT, _NOISELESS = CellErrors(), CellNoise()


@torch.no_grad()
def realise(
    sequence: Tensor,
    table: Tensor,
    errors: CellErrors = _PERFECT,
    noise: CellNoise = _NOISELESS,
    *,
    dtype: torch.dtype = torch.float32,
    generator: torch.Generator | None = None,
) -> Tensor:
    """The weights that the light meets, turn by turn, when the controller asks for a `sequence` of levels.

    Args:
        sequence: int8 [A, k, Q, k]: signed levels in the order in which they are written, `PAD` where nothing sits.
        table: [L + 1] transmission of each level.
        errors: What is wrong with each cell.
        noise: What the cells share.
        dtype: Of the weights.
        generator: Of the errors that are new at every call.

    Returns:
        [A, k, Q, k], (T+ - T-) / (t[0] - t[L]); 0 where nothing sits. The largest nominal weight is 1.

    Raises:
        ValueError: A level is beyond L, or a tensor of cells is of another shape than the sequence needs.
    """
    if all(error is None for error in errors) and not noise.renewed and not noise.drifts:
        return nominal(sequence, table, dtype)
    _check_levels(sequence, table)
    for name, values in errors._asdict().items():
        _check_cells(name, values, sequence)
    absorption, stuck = errors
    table = table.to(sequence.device, dtype)
    full_scale: float | Tensor = table[0] - table[-1]
    if has_numbers(table):
        full_scale = float(full_scale)
    empty = sequence == PAD
    levels = sequence.masked_fill(empty, 0)
    conductances, transmissions = [], []
    for sign in (0, 1):
        crystallised = stick(steps_of(levels, sign, len(table) - 1), None if stuck is None else stuck[:, sign])
        cells = absorb(table[crystallised.int()], None if absorption is None else absorption[:, sign].to(dtype))
        idle = unwritten(crystallised, empty) if noise.electronic or noise.programming_std else None
        if noise.electronic and idle is not None:
            targets = ((cells - table[-1]) / full_scale).clamp_(0, 1)
            conductances.append(_electronic(targets, idle, noise.drift_time, generator))
            continue
        drawn = None if idle is None else hold(drift.normal(cells, generator), idle)
        cells = misprogram(cells, noise.programming_std * full_scale, drawn)
        cells = drift.power_law(cells, noise.drift_nu, noise.drift_time)
        if noise.read_noise_std:
            cells = read_noise(cells, noise.read_noise_std * full_scale, generator=generator)
        transmissions.append(cells)
    if noise.electronic:
        return _compensated(conductances, empty)
    return transmissions[0].sub_(transmissions[1]).div_(full_scale).masked_fill_(empty, 0)


def _electronic(targets: Tensor, idle: Tensor, time: float, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
    """Conductances [A, k, Q, k] as written and as read after `time` seconds, one error and exponent for each write."""
    programmed = drift.program(targets, hold(drift.normal(targets, generator), idle))
    exponents = drift.exponents(targets, hold(drift.normal(targets, generator), idle))
    return programmed, drift.read(programmed, exponents, time, generator)


def _compensated(conductances: list[tuple[Tensor, Tensor]], empty: Tensor) -> Tensor:
    """Weights of pairs (as written, as read), with what drift did to all of them undone."""
    (positive, positive_now), (negative, negative_now) = conductances
    programmed = positive.sub_(negative).masked_fill_(empty, 0)
    now = positive_now.sub_(negative_now).masked_fill_(empty, 0)
    return now.mul_(drift.compensation(programmed, now, (2, 3)))


def _check_levels(sequence: Tensor, table: Tensor) -> int:
    """The steps L of a cell, after a look at the levels."""
    steps = len(table) - 1
    if not has_numbers(sequence):
        return steps
    low, high = (int(end) for end in sequence.aminmax()) if sequence.numel() else (0, 0)
    if low == PAD:
        low = int(sequence.masked_fill(sequence == PAD, 0).min())
    if low < -steps or high > steps:
        raise ValueError(
            f"signed levels of a pair of {steps + 1}-level cells are within -{steps} ... {steps}, or {PAD} where "
            f"nothing sits, got {low} ... {high}; take as many levels as they were made with"
        )
    return steps


def _check_cells(name: str, cells: Tensor | None, sequence: Tensor) -> None:
    arrays, rows, _, slots = sequence.shape
    if cells is not None and cells.shape != (arrays, 2, rows, slots):
        raise ValueError(
            f"`{name}` has the shape {list(cells.shape)}; a sequence of {list(sequence.shape)} has the cells "
            f"{[arrays, 2, rows, slots]}"
        )
