"""One manufactured chip of phase-change crossbars: its hidden errors, and what use has done to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightloom.chips.base import Specimen
from lightloom.chips.draws import OneChip
from lightloom.chips.pcm.errors import HEALTHY, PCMErrors, any_level, draw
from lightloom.common.arguments import checked
from lightloom.common.seeds import named_generator


class Aged(NamedTuple):
    """What `PCMSpecimen.aged` returns."""

    specimen: PCMSpecimen
    """The same chip after its use."""
    dead: int
    """Cells that stopped switching meanwhile."""
    first_failure: float
    """Inferences until the first of the cells that still switched fails, even where that is later; inf if never."""


class PCMSpecimen(Specimen):
    """A manufactured chip of phase-change crossbars. See `chips.Specimen`."""

    chip: Any
    """The design, a `PCMChip`."""

    def __init__(self, chip: Any, seed: int) -> None:
        super().__init__(chip, seed)
        self._cycles: dict[str, Tensor] = {}  # spent by each cell, float64
        self._worn: dict[str, Tensor] = {}  # like `PCMErrors.stuck`, of cells that use has stuck

    @checked
    def pcm_errors(self, core: str, arrays: int) -> PCMErrors:
        """Errors of one tensor core; the same at every call, and independent between cores.

        Args:
            core: Name of the core, its place on the chip.
            arrays: How many arrays A it has.

        Raises:
            ValueError: The core has aged with another number of arrays.
        """
        self._cells(core, arrays)
        errors = draw(self.chip, OneChip(self.seed), core, arrays)
        worn = self._worn.get(core)
        if worn is None:
            return errors
        return errors._replace(
            stuck=worn if errors.stuck is None else torch.where(errors.stuck == HEALTHY, worn, errors.stuck)
        )

    @checked
    def aged(self, wear: Mapping[str, Tensor], inferences: float, *, endurance_spread: float = 0.3) -> Aged:
        """This chip after some more inferences. A cell that has spent its endurance is stuck from then on.

        Endurance is lognormal between cells around the chip's constant, its median. One write counts as one cycle,
        which is on the safe side: a cycle of the sources writes a cell up and down. At its end a cell is stuck at any
        of its levels, with equal chance.

        Args:
            wear: Writes per inference of each cell [A, 2, k, k], by name of the core.
            inferences: How many more, at least 0.
            endurance_spread: Standard deviation of the endurance's logarithm. No source measures it for photonic
                cells; the default is an assumption. 0 gives all cells the same.

        Raises:
            ValueError: A wear is negative or not of that shape, or `inferences` or the spread is negative.
        """
        if not (inferences >= 0 and endurance_spread >= 0):
            raise ValueError(f"{inferences} inferences, spread {endurance_spread}; neither may be below 0")
        later = PCMSpecimen(self.chip, self.seed)
        later._cycles, later._worn = dict(self._cycles), dict(self._worn)
        dead, first = 0, math.inf
        for core, writes in wear.items():
            rate = self._rate(core, writes)
            left = self._left(core, rate, endurance_spread)
            failed = left <= inferences
            dead += int(failed.sum())
            first = min(first, float(left.min()))
            later._cycles[core] = self._cycles.get(core, 0) + rate * inferences
            before = self._worn.get(core, torch.full((), HEALTHY, dtype=torch.int8))
            level = any_level(OneChip(self.seed), (core, "death"), failed.shape, self.chip)
            later._worn[core] = torch.where(failed, level, before)
        return Aged(later, dead, first)

    def _rate(self, core: str, wear: Tensor) -> Tensor:
        shape = self._cells(core, len(wear) if wear.ndim else 0)
        if wear.shape != shape or not bool((wear >= 0).all()):
            actual = tuple(wear.shape)
            raise ValueError(f"wear of core `{core}`: expected {shape} and no value below 0, got {actual}")
        return wear.detach().to("cpu", torch.float64)

    def _left(self, core: str, rate: Tensor, spread: float) -> Tensor:
        """Inferences that each cell will still take; inf where it is stuck already or is never written."""
        generator = named_generator(self.seed, "specimen", core, "endurance")
        factor = torch.exp(spread * torch.randn(rate.shape, dtype=torch.float64, generator=generator))
        left = self.chip.devices.endurance.value * factor - self._cycles.get(core, 0)
        stuck = self.pcm_errors(core, len(rate)).stuck
        switches = rate > 0 if stuck is None else (rate > 0) & (stuck == HEALTHY)
        return torch.where(switches, left.clamp_(min=0) / rate, math.inf)

    def _cells(self, core: str, arrays: int) -> tuple[int, int, int, int]:
        shape = (arrays, 2, self.chip.block_size, self.chip.block_size)
        if core in self._worn and self._worn[core].shape != shape:
            raise ValueError(f"core `{core}` has aged with {len(self._worn[core])} arrays, got {arrays}")
        return shape
