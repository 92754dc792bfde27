"""The hardware: an ideal analogue multiplier whose weights have an unknown gain."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field

from lightloom.chips import Chip


class ToyChip(Chip):
    """An ideal analogue multiplier with a gain error of each weight."""

    hidden_errors: ClassVar[tuple[str, ...]] = ("gain_std",)
    summary_fields: ClassVar[tuple[str, ...]] = ("name", "gain_std")
    technology: Literal["toy"] = "toy"
    """Name of the technology."""
    gain_std: float = Field(0.1, ge=0)
    """Standard deviation of the gain of each weight, which is 1 where the chip is perfect."""

    def calibrated(self) -> Self:
        """The same hardware with the gains known, so that they are trimmed away."""
        return self.replace(gain_std=0.0)

    def ideal(self) -> Self:
        """The same hardware with every gain at 1."""
        return self.replace(name=f"{self.name}, ideal", input_bits=None, output_bits=None, gain_std=0.0)
