"""What setting one tile of a PCM crossbar takes: from its programmed levels, or expected of levels not known yet."""

from __future__ import annotations

from functools import lru_cache

import torch

from lightloom.chips import PCMChip
from lightloom.cost.pcm.writes import writing
from lightloom.nn import PCMCore
from lightloom.physics.pcm import wear
from lightloom.physics.pcm import writes as counting

_SAMPLED_SIZE, _SAMPLED_TURNS = 32, 64


def tile_writing(core: PCMCore) -> tuple[float, float]:
    """Energy in J of writing one tile of a programmed core, and time in s of one turn, in the mean of its turns."""
    energy, time = writing(core)
    groups, p, q = core.blocks
    return energy / (groups * p * q), time / q


@lru_cache(maxsize=1024)
def expected_writing(chip: PCMChip, turns: int) -> tuple[float, float]:
    """Energy in J of writing one tile, and time in s of one turn, of levels that are drawn uniformly with a fixed seed.

    Args:
        chip: Its hardware.
        turns: Tiles that follow one another in an array.
    """
    size, counted_turns = min(chip.block_size, _SAMPLED_SIZE), min(turns, _SAMPLED_TURNS)
    generator = torch.Generator().manual_seed(0)
    shape = (1, size, counted_turns, size)
    levels = torch.randint(1 - chip.levels, chip.levels, shape, generator=generator, dtype=torch.int8)
    counted, devices = counting.count(levels, chip.start), chip.devices
    model, up, down = chip.write_model, devices.amorphise_energy.value, devices.crystallise_energy.value
    energy = wear.energy(counted, model, up, down) * (chip.block_size / size) ** 2
    time = wear.latency(counted, model, devices.amorphise_time.value, devices.crystallise_time.value)
    return energy / counted_turns, time / counted_turns
