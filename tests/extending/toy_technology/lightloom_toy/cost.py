"""What it costs: light passes one multiplier for each number of the matrix."""

from __future__ import annotations

from typing import ClassVar

from lightloom.cost import CostModel, Loss


class ToyCost(CostModel):
    """Multipliers that lose a tenth of a decibel each."""

    assumptions: ClassVar[tuple[str, ...]] = ("A toy multiplier loses 0.1 dB and takes no room.",)

    def losses(self) -> list[Loss]:
        """Every column of the block, one after the other."""
        return [Loss("multipliers", 0.1 * self.chip.block_size)]
