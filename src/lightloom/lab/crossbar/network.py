"""Crossbars of a network on the bench: one instrument for the arrays of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch

from lightloom.chips import PCMErrors
from lightloom.common.errors import WorkError
from lightloom.common.seeds import named_seed
from lightloom.lab.crossbar.instrument import CrossbarInstrument, SimulatedCrossbar
from lightloom.lab.crossbar.remap import Freedom, Remapped, remap
from lightloom.lab.crossbar.surveyed import Surveyed
from lightloom.lab.instrumented import InstrumentedCores
from lightloom.nn import PCMCore
from lightloom.physics import pcm
from lightloom.physics.pcm import schedule
from lightloom.physics.pcm.schedule import Schedule


@dataclass(frozen=True)
class InstrumentedCrossbar(InstrumentedCores):
    """The tensor core of one layer, and the instrument on which its arrays stand."""

    cores: dict[str, PCMCore]
    """The one core, by layer."""
    instrument: CrossbarInstrument

    @classmethod
    def connect(cls, cores: Mapping[str, PCMCore], *, readout_std: float = 0.0, seed: int = 0) -> list[Self]:
        """Put crossbar cores behind simulated instruments, one for each layer.

        Args:
            cores: The cores by layer.
            readout_std: Standard deviation of the noise of each measured value, relative to full scale.
            seed: Seed of that noise, and of the errors that are new at every write; each layer takes its own from it.
        """
        return [
            cls({name: core}, _instrument(core, readout_std, named_seed(seed, name))) for name, core in cores.items()
        ]

    @property
    def layer(self) -> str:
        """Name of the layer."""
        return next(iter(self.cores))

    @property
    def core(self) -> PCMCore:
        """The core of the layer."""
        return self.cores[self.layer]

    def remap(
        self,
        surveyed: Surveyed,
        *,
        move_rows: bool = True,
        move_slots: bool = False,
        choose_levels: bool = True,
    ) -> Remapped:
        """Where the core's present levels are to sit on the cells of a survey, see `remap.remap`.

        Args:
            surveyed: What is known of the cells.
            move_rows: Whether rows of the weights may take other rows of the array.
            move_slots: Whether columns may take other slots.
            choose_levels: Whether levels are chosen anew for the cells that hold them.
        """
        core = self.core
        natural = schedule.natural(*core.shape, core.chip.block_size)
        return remap(
            core.levels().cpu(),
            core.chip,
            surveyed,
            Schedule(core.array_rows.cpu(), natural.columns),
            groups=core.groups,
            freedom=Freedom(rows=move_rows, slots=move_slots, levels=choose_levels),
        )

    def store(self, remapped: Remapped) -> None:
        """Leave rows, columns and levels in the core; the scale of its weights stays.

        Raises:
            WorkError: The core would hold other levels: none of these is the highest, and its scale comes from that.
        """
        store(self.core, remapped)


@torch.no_grad()
def store(core: PCMCore, remapped: Remapped) -> None:
    """Let a core follow a new schedule and ask for new levels, see `InstrumentedCrossbar.store`.

    Args:
        core: The core, which is changed.
        remapped: Schedule and levels.

    Raises:
        WorkError: The core would hold other levels.
    """
    core.place(remapped.schedule)
    levels = remapped.levels.to(core.matrix.device)
    core.program(pcm.from_levels(levels, core.magnitudes.to(core.matrix)) * core.scale())
    if not torch.equal(core.levels(), levels):
        raise WorkError(
            f"Core `{core.name}` cannot hold these levels: it takes the scale of its weights from the highest level, "
            f"{core.chip.levels - 1}, and the highest here is {int(levels.abs().max())}."
        )


def _instrument(core: PCMCore, readout_std: float, seed: int) -> SimulatedCrossbar:
    hidden = PCMErrors(core.absorption, core.stuck)
    return SimulatedCrossbar(core.chip, hidden, len(core.array_rows), readout_std=readout_std, seed=seed)
