"""What use does to the crossbars of a network: writes of each cell, and the chip after them."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from lightloom.chips import Aged, PCMSpecimen
from lightloom.nn import PCMCore, cores
from lightloom.physics.pcm import schedule, wear
from lightloom.physics.pcm.writes import count


def wear_rates(model: nn.Module) -> dict[str, Tensor]:
    """Writes per inference of each cell [A, 2, k, k], by name of the core, as its chip counts them."""
    rates = {}
    for core in cores(model, PCMCore).values():
        writes = count(schedule.sequence(core.levels().cpu(), core.schedule), core.chip.start)
        rates[core.name] = wear.pulses(writes, core.chip.write_model)
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
