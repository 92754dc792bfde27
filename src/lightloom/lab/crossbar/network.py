"""A whole network of crossbars on the bench: one instrument for the arrays of each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightloom.chips import Aged, PCMErrors, PCMSpecimen
from lightloom.common.errors import WorkError
from lightloom.common.seeds import named_seed
from lightloom.lab.crossbar.instrument import CrossbarInstrument, SimulatedCrossbar
from lightloom.lab.crossbar.remap import Remapped, remap
from lightloom.lab.crossbar.surveyed import Surveyed
from lightloom.nn import PCMCore, cores
from lightloom.physics import pcm
from lightloom.physics.pcm import schedule, wear
from lightloom.physics.pcm.schedule import Schedule
from lightloom.physics.pcm.writes import count


@dataclass(frozen=True)
class Bench:
    """The tensor core of one layer, and the instrument on which its arrays stand."""

    core: PCMCore
    instrument: CrossbarInstrument

    def remap(
        self,
        surveyed: Surveyed,
        *,
        move_rows: bool = True,
        move_slots: bool = False,
        choose_levels: bool = True,
    ) -> Remapped:
        """Where the core's present levels are to sit on the cells of a survey, see `remap.remap`."""
        core = self.core
        natural = schedule.natural(*core.shape, core.chip.block_size)
        return remap(
            core.levels().cpu(),
            core.chip,
            surveyed,
            Schedule(core.array_rows.cpu(), natural.columns),
            groups=core.groups,
            move_rows=move_rows,
            move_slots=move_slots,
            choose_levels=choose_levels,
        )

    def store(self, remapped: Remapped) -> None:
        """Leave rows, columns and levels in the core; the scale of its weights stays.

        Raises:
            WorkError: The core would hold other levels: none of these is the highest, and its scale comes from that.
        """
        store(self.core, remapped)


@torch.no_grad()
def store(core: PCMCore, remapped: Remapped) -> None:
    """Follow a new schedule and ask for new levels, see `Bench.store`."""
    core.place(remapped.schedule)
    levels = remapped.levels.to(core.matrix.device)
    core.program(pcm.from_levels(levels, core.magnitudes.to(core.matrix)) * core.scale())
    if not torch.equal(core.levels(), levels):
        raise WorkError(
            f"Core `{core.name}` cannot hold these levels: it takes the scale of its weights from the highest level, "
            f"{core.chip.levels - 1}, and the highest here is {int(levels.abs().max())}."
        )


def crossbars(model: nn.Module, *, readout_std: float = 0.0, seed: int = 0) -> dict[str, Bench]:
    """Put every tensor core of a converted model, with its specimen's cells, behind a simulated instrument.

    Args:
        model: A converted model, installed on a specimen.
        readout_std: Noise of each measured value, relative to full scale.
        seed: Of that noise, and of the errors that are new at every write.

    Returns:
        By layer.

    Raises:
        ValueError: The model has no layer on crossbars.
    """
    found = cores(model, PCMCore)
    if not found:
        raise ValueError("nothing to put on the bench: the model has no layer on crossbars; use `convert` first")
    return {name: _bench(core, readout_std, named_seed(seed, name)) for name, core in found.items()}


def _bench(core: PCMCore, readout_std: float, seed: int) -> Bench:
    hidden = PCMErrors(core.absorption, core.stuck)
    arrays = len(core.array_rows)
    return Bench(core, SimulatedCrossbar(core.chip, hidden, arrays, readout_std=readout_std, seed=seed))


def wear_rates(model: nn.Module) -> dict[str, Tensor]:
    """Writes per inference of each cell [A, 2, k, k], by name of the core, as its chip counts them."""
    rates = {}
    for core in cores(model, PCMCore).values():
        written = count(schedule.sequence(core.levels().cpu(), core.schedule), core.chip.start)
        rates[core.name] = wear.pulses(written, core.chip.write_model)
    return rates


def age(
    model: nn.Module, specimen: PCMSpecimen, inferences: float, *, spent: Mapping[str, Tensor] | None = None
) -> Aged:
    """The chip of a model after so many more inferences, and the model moved onto it.

    Args:
        model: A converted model; its levels and schedules decide which cells are written.
        specimen: The chip as it is now.
        inferences: How many.
        spent: Writes besides, of each cell, by name of the core, such as those of a survey: `instrument.writes`.

    Returns:
        What `PCMSpecimen.aged` gives.
    """
    if spent:
        specimen = specimen.aged(spent, 1).specimen
    aged = specimen.aged(wear_rates(model), inferences)
    for core in cores(model, PCMCore).values():
        core.install(aged.specimen)
    return aged
