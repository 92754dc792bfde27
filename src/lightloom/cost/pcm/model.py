"""What one array of a phase-change crossbar takes."""

from __future__ import annotations

import math
from typing import ClassVar

from lightloom.chips import Chip, PCMChip
from lightloom.chips.arguments import chip_of
from lightloom.cost.pcm.rewriting import expected_writing, tile_writing
from lightloom.cost.schedule import Sharing, Tiling
from lightloom.cost.technology import CostModel, Loss, Setting
from lightloom.nn import PCMCore, TensorCore


class PCMCost(CostModel):
    """One vector at a time passes an array, which is rewritten between block columns and needs no power in between.

    Args:
        chip: The hardware.
    """

    assumptions: ClassVar[tuple[str, ...]] = (
        "An array holds k x k cell pairs; all vectors of an inference pass between two rewrites, one per symbol, and "
        "cells need no power in between. Unless a number of cores is given, every block row has one array, rewritten "
        "for each block column, as published. Where cells start erased, even what fits its array is written anew.",
        "Light of a slot is split to the k rows of both cells; each row's light adds up on one detector per sign "
        "without a loss of its own. Signed inputs, sent in two passes, are counted as one.",
        "All cells of all arrays of a layer are written at the same time; a turn lasts as long as its slowest cell. In "
        "another schedule than the published one, writing a tile takes what it takes there in the mean.",
    )
    expected_settings: ClassVar[tuple[str, ...]] = (
        "Crossbars are not programmed: their levels are taken as uniform, from the lowest negative to the highest "
        "positive one, which is more writing than trained weights take.",
    )
    parts: ClassVar[frozenset[str]] = frozenset({"cell writes"})
    rewritten: ClassVar[bool] = True
    chip: PCMChip

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip_of(chip, PCMChip))

    @property
    def modulators(self) -> int:
        """Number of modulators: one per input, or one for each row of it where rows have their own."""
        size = self.chip.block_size
        return size**2 if self.chip.sharing == "row_private" else size

    @property
    def receivers(self) -> int:
        """Number of photodetectors, one per row and sign."""
        return 2 * self.chip.block_size

    @property
    def lit_detectors(self) -> int:
        """One: the light of the longest path counts the split to all rows as a loss."""
        return 1

    @property
    def setting_converters(self) -> int:
        """None: cells are written by pulses, whose drivers are not counted."""
        return 0

    @property
    def settings(self) -> int:
        """None: cells are written, not converted."""
        return 0

    @property
    def sharing(self) -> Sharing:
        """How far a modulated value reaches: one row of an array, one array, or all that work at the time."""
        if self.chip.sharing == "row_private":
            return "row"
        return "cores" if self.chip.broadcast else "core"

    def own_cores(self, tiling: Tiling) -> int:
        """Number of arrays, one per block row."""
        return tiling.groups * tiling.down

    def losses(self) -> list[Loss]:
        """The split to all rows, its splitters, crossings, a clear cell; the light of k slots adds up."""
        size, devices = self.chip.block_size, self.chip.devices
        rows = 2 * size
        stages = math.ceil(math.log2(rows))
        return [
            Loss(f"split to {rows} rows of both signs", 10 * math.log10(rows)),
            Loss(f"{stages} splitters", stages * devices.splitter_loss.value),
            Loss(f"{size - 1} crossings", (size - 1) * devices.crossing_loss.value),
            Loss("cell at its clearest", devices.cell_loss.value),
            Loss(f"{size} slots add up", -10 * math.log10(size)),
        ]

    def shared_split_db(self) -> float:
        """None: the light of all slots adds up again, which the losses say themselves."""
        return 0.0

    def core_areas(self, count: int) -> dict[str, float]:
        """Area in m^2 of the cells of so many arrays."""
        return {"cells": count * 2 * self.chip.block_size**2 * self.chip.devices.cell_area.value}

    def setting(self, tiling: Tiling, core: TensorCore | None) -> Setting:
        """Writing one tile in the mean of its turns.

        Args:
            tiling: The layer.
            core: The programmed core; None takes levels that are drawn uniformly.
        """
        if isinstance(core, PCMCore):
            write, time = tile_writing(core)
        else:
            write, time = expected_writing(self.chip, tiling.across)
        return Setting(0.0, write, time, 0.0)

    def tile_bytes(self) -> float:
        """Bytes of the signed levels of one array."""
        return self.chip.block_size**2 * ((self.chip.levels - 1).bit_length() + 1) / 8
