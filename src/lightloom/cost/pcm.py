"""What setting one tile of a PCM crossbar takes: from its programmed levels, or expected of levels not known yet."""

from __future__ import annotations

from functools import lru_cache

import torch

from lightloom.chips import PCMChip
from lightloom.cost.writes import writing
from lightloom.nn import PCMCore
from lightloom.physics.pcm import wear
from lightloom.physics.pcm import writes as counting

ASSUMPTIONS = (
    "An array holds k x k cell pairs; all vectors of an inference pass between two rewrites, one per symbol, and cells "
    "need no power in between. Unless a number of cores is given, every block row has one array, rewritten for each "
    "block column, as published. Where cells start erased, even what fits its array is written anew.",
    "Light of a slot is split to the k rows of both cells; each row's light adds up on one detector per sign without a "
    "loss of its own. Signed inputs, sent in two passes, are counted as one.",
    "All cells of all arrays of a layer are written at the same time; a turn lasts as long as its slowest cell. In "
    "another schedule than the published one, writing a tile takes what it takes there in the mean.",
)

EXPECTED_LEVELS = (
    "Crossbars are not programmed: their levels are taken as uniform, from the lowest negative to the highest positive "
    "one, which is more writing than trained weights take."
)

_SAMPLED_SIZE, _SAMPLED_TURNS = 32, 64


def tile_writing(core: PCMCore) -> tuple[float, float]:
    """Energy in J of writing one tile of a programmed core, and time in s of one turn, in the mean of its turns."""
    energy, time = writing(core)
    groups, p, q = core.blocks
    return energy / (groups * p * q), time / q


@lru_cache(maxsize=1024)
def expected_writing(chip: PCMChip, turns: int) -> tuple[float, float]:
    """The same, of cells with levels that are drawn uniformly, with a fixed seed.

    Args:
        chip: Its hardware.
        turns: Tiles that follow one another in an array.
    """
    size, counted_turns = min(chip.block_size, _SAMPLED_SIZE), min(turns, _SAMPLED_TURNS)
    generator = torch.Generator().manual_seed(0)
    shape = (1, size, counted_turns, size)
    drawn = torch.randint(1 - chip.levels, chip.levels, shape, generator=generator, dtype=torch.int8)
    counted, devices = counting.count(drawn, chip.start), chip.devices
    model, up, down = chip.write_model, devices.amorphise_energy.value, devices.crystallise_energy.value
    energy = wear.energy(counted, model, up, down) * (chip.block_size / size) ** 2
    time = wear.latency(counted, model, devices.amorphise_time.value, devices.crystallise_time.value)
    return energy / counted_turns, time / counted_turns
