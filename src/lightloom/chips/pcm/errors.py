"""The hidden errors of phase-change cells, and how they are drawn, for one specimen and for many alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightloom.chips.draws import Draws, Place
from lightloom.physics.pcm.errors import CellErrors

HEALTHY = -1
"""Mark in `PCMErrors.stuck` of a cell that switches."""


PCMErrors = CellErrors
"""Errors of the cells of one tensor core's arrays, see `physics.pcm.errors.CellErrors`."""


class HiddenError(NamedTuple):
    """One kind of error."""

    name: str
    """Field of `PCMErrors`."""
    knob: str
    """Field of the chip that switches it off at 0."""
    draw: Callable[[Draws, str, tuple[int, ...], Any], Tensor]
    """The law: random numbers, name of the core, number of its cells, and the chip, to errors."""


def _stuck(draws: Draws, core: str, shape: tuple[int, ...], chip: Any) -> Tensor:
    """Cells fail with equal chance, at any of their levels."""
    mask = draws.uniform((core, "stuck"), shape) < chip.stuck_fraction
    return torch.where(mask, any_level(draws, (core, "stuck", "level"), shape, chip), HEALTHY)


HIDDEN_ERRORS: tuple[HiddenError, ...] = (
    HiddenError(
        "absorption",
        "absorption_std",
        lambda draws, core, shape, chip: draws.deviations((core, "absorption"), shape, chip.absorption_std),
    ),
    HiddenError("stuck", "stuck_fraction", _stuck),
)


def draw(chip: Any, draws: Draws, core: str, arrays: int) -> PCMErrors:
    """Errors of one tensor core on one new specimen, or [S, ...] on many.

    Args:
        chip: The design, a `PCMChip`.
        draws: Random numbers of the specimen, or of the specimens.
        core: Name of the core, its place on the chip.
        arrays: How many arrays A it has.
    """
    shape = (arrays, 2, chip.block_size, chip.block_size)
    switched_on = (error for error in HIDDEN_ERRORS if getattr(chip, error.knob) != 0)
    return PCMErrors(**{error.name: error.draw(draws, core, shape, chip) for error in switched_on})


def any_level(draws: Draws, place: Place, shape: tuple[int, ...], chip: Any) -> Tensor:
    """Levels at which cells fail, int8, each as likely as another.

    Args:
        draws: Random numbers.
        place: Which cells.
        shape: How many of them.
        chip: The design, a `PCMChip`.
    """
    return draws.integers(place, shape, chip.levels)
