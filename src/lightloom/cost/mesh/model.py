"""What one core of Mach-Zehnder meshes takes."""

from __future__ import annotations

from typing import ClassVar

from lightloom.chips import Chip, MeshChip
from lightloom.chips.arguments import chip_of
from lightloom.cost.mesh.phases import expected_power, holding_power, setting_energy, setting_time, shifters_of
from lightloom.cost.schedule import Tiling
from lightloom.cost.technology import DEFAULT_BITS, HELD, CostModel, Loss, Setting
from lightloom.nn import MeshCore, TensorCore
from lightloom.physics import mesh


class MeshCost(CostModel):
    """Light of k wavelengths passes both meshes and the attenuators of a block, which shifters hold in place.

    Args:
        chip: The hardware.
    """

    assumptions: ClassVar[tuple[str, ...]] = (
        "One call carries up to k input vectors, one per wavelength.",
        "Phase shifters hold their phase with a power that grows with it; one DAC per core sets them one after "
        "another, one per symbol, and then they settle together.",
    )
    expected_settings: ClassVar[tuple[str, ...]] = (
        "Meshes are not programmed: their phases are taken as uniform, pi in the mean, and those of attenuators as "
        "pi / 2, as where every shifter starts at an unknown phase. Shifters that start at zero take some 0.6 of that.",
    )
    parts: ClassVar[frozenset[str]] = frozenset({HELD})
    chip: MeshChip

    def __init__(self, chip: Chip) -> None:
        super().__init__(chip_of(chip, MeshChip))

    @property
    def channels(self) -> int:
        """Number of wavelengths, each of which carries a vector."""
        return self.chip.block_size

    @property
    def modulators(self) -> int:
        """Number of modulators, one per input and wavelength."""
        return self.chip.block_size**2

    @property
    def receivers(self) -> int:
        """Number of photodetectors, one per output and wavelength."""
        return self.chip.block_size**2

    @property
    def readings(self) -> int:
        """Number of values per symbol, one per output and wavelength."""
        return self.chip.block_size**2

    @property
    def lit_detectors(self) -> int:
        """Number of detectors that the lasers feed, for k outputs on k wavelengths."""
        return self.chip.block_size**2

    @property
    def settings(self) -> int:
        """Number of phase shifters of a core."""
        return shifters_of(self.chip)

    def losses(self) -> list[Loss]:
        """The MZIs of both meshes and the attenuator on the longest path."""
        mzis = 2 * mesh.depth(self.chip.block_size, self.chip.layout) + 1
        return [Loss(f"{mzis} MZIs of both meshes and the attenuator", mzis * self.chip.devices.mzi_loss.value)]

    def core_areas(self, count: int) -> dict[str, float]:
        """Area in m^2 of the MZIs of so many cores."""
        mzis = self.chip.counts(self.chip.block_size, self.chip.block_size).mzis
        return {"meshes": count * mzis * self.chip.devices.mzi_area.value}

    def setting(self, tiling: Tiling, core: TensorCore | None) -> Setting:
        """One DAC sets all phases, which then settle; their holding power is that of the core's phases.

        Args:
            tiling: The layer.
            core: The programmed core; None takes the mean over uniform phases.
        """
        if isinstance(core, MeshCore):
            hold = holding_power(core.state(), self.chip) / tiling.tiles
        else:
            hold = expected_power(self.chip)
        return Setting(setting_energy(self.chip), 0.0, setting_time(self.chip), hold)

    def tile_bytes(self) -> float:
        """Bytes of the phases of one core."""
        return shifters_of(self.chip) * (self.chip.weight_bits or DEFAULT_BITS) / 8
