"""How often PCM cells are written, and how far, while a sequence of levels passes through their arrays.

A signed level s sits in a pair of cells, W = W+ - W-: the positive one at max(s, 0) levels above its lowest
transmission, the negative one at max(-s, 0). A level upwards (amorphised, more transparent) and one downwards
(crystallised) cost differently, so they are counted apart; together they are |change of s|, also across a change of
sign. Source of the erased start and the level-wise count: Zhu et al., "ELight", ASP-DAC 2022.
"""

from __future__ import annotations

from itertools import chain
from typing import Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import define, one_by_one
from lightloom.physics.pcm import write_kernels as kernels
from lightloom.physics.pcm.levels import MOST_LEVELS, PAD

Start = Literal["erased", "repeat", "alternate"]
"""What an inference finds: arrays erased for nothing, as published; what the last inference left, and the same order
again; or the same, and the order reversed, so that nothing is written between two inferences."""


class Writes(NamedTuple):
    """Writes of each cell, int32 [A, 2, k, k] (sign 0 is the positive cell), added up over `inferences`."""

    rises: Tensor
    """Levels written upwards: more transparent, amorphised."""

    falls: Tensor
    """Levels written downwards: crystallised."""

    raised: Tensor
    """How many times the cell was changed upwards."""

    lowered: Tensor
    """How many times the cell was changed downwards."""

    cleared: Tensor
    """How many of `lowered` end at the lowest transmission."""

    highest_rise: Tensor
    """int32 [Q], or [2 Q] for "alternate": levels of the longest rise at each turn, of all cells of all arrays."""

    highest_fall: Tensor
    """int32, shaped as `highest_rise`: levels of the longest fall at each turn, of all cells of all arrays."""

    inferences: int
    """1, or for "alternate" 2: there and back."""


def count(sequence: Tensor, start: Start = "erased") -> Writes:
    """The writes of each cell.

    Args:
        sequence: int8 [A, k, Q, k], signed levels as `schedule.sequence` lays them out. Where it is `PAD`, the cell is
            not written and keeps what it holds.
        start: What the first turn finds.

    Raises:
        TypeError: The sequence is not int8.
        ValueError: Its shape is another, a level is out of range, or there is no such start.
    """
    if start not in get_args(Start):
        raise ValueError(f"The start is one of {', '.join(get_args(Start))}, not {start!r}.")
    if sequence.dtype != torch.int8:
        raise TypeError(f"Levels are counted as int8, not {sequence.dtype}: make them with `levels.to_levels`.")
    if sequence.dim() != 4 or sequence.shape[1] != sequence.shape[3] or not sequence.numel():
        raise ValueError(f"A sequence is [arrays, k, turns, k], not {tuple(sequence.shape)}.")
    tallies, highest = _counted(sequence, start)
    return Writes._make((*tallies, *highest, 2 if start == "alternate" else 1))


def total(writes: Writes) -> int:
    """Levels written per inference, by all cells: exact, since the way back writes as many as the way there."""
    return int((writes.rises.sum() + writes.falls.sum()) // writes.inferences)


def worst_cell(writes: Writes) -> int:
    """Levels written per inference by the cell that is written most: what wears it out."""
    return int((writes.rises + writes.falls).max()) // writes.inferences


def worst_pair(writes: Writes) -> int:
    """Writes of the worst pair, its two cells together: the published form, which takes them for one."""
    return int((writes.rises + writes.falls).sum(1).max()) // writes.inferences


def _run(sequence: Tensor, start: str) -> tuple[Tensor, Tensor]:
    counts = kernels.count(sequence, start) if kernels.usable(sequence) else _count(sequence, cast(Start, start))
    if counts is None:
        raise ValueError(
            f"A level is beyond -{MOST_LEVELS - 1} to {MOST_LEVELS - 1} (and not {PAD}, which marks a place that holds "
            f"nothing): a cell has at most {MOST_LEVELS} levels."
        )
    return counts


def _fake(sequence: Tensor, start: str) -> tuple[Tensor, Tensor]:
    arrays, size, turns, _ = sequence.shape
    tallies = sequence.new_empty(5, arrays, 2, size, size, dtype=torch.int32)
    return tallies, sequence.new_empty(2, turns * (2 if start == "alternate" else 1), dtype=torch.int32)


_counted = define("pcm_count(Tensor sequence, str start) -> (Tensor tallies, Tensor highest)", _run, _fake, one_by_one)


def _count(sequence: Tensor, start: Start) -> tuple[Tensor, Tensor] | None:
    """Compute `kernels.count` with torch."""
    if ((sequence.clamp(1 - MOST_LEVELS, MOST_LEVELS - 1) != sequence) & (sequence != PAD)).any():
        return None
    turns = sequence.unbind(2)
    forwards, backwards = turns, turns[::-1]
    state = torch.zeros_like(turns[0])
    for now in {"erased": (), "repeat": forwards, "alternate": backwards}[start]:
        state = torch.where(now == PAD, state, now)
    passes = (forwards, backwards) if start == "alternate" else (forwards,)
    tallies = sequence.new_zeros(5, len(state), 2, *state.shape[1:], dtype=torch.int32)
    highest = []
    for now in chain(*passes):
        now = torch.where(now == PAD, state, now)
        cells = _cells(now)
        change = cells - _cells(state)
        up, down = change.clamp(min=0), -change.clamp(max=0)
        for tally, events in zip(tallies, (up, down, up > 0, down > 0, (down > 0) & (cells == 0)), strict=True):
            tally += events
        highest.append(torch.stack([up.max(), down.max()]))
        state = now
    return tallies, torch.stack(highest, 1).int()


def _cells(levels: Tensor) -> Tensor:
    """Levels of the positive and the negative cells, [A, 2, k, k]."""
    return torch.stack([levels.clamp(min=0), -levels.clamp(max=0)], 1)
