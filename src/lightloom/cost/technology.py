"""What the bill of a network asks of a technology: devices of a core, losses, setting a tile, and assumptions."""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

from lightloom.chips import Chip, technology_of
from lightloom.cost.schedule import Sharing, Tiling
from lightloom.nn import TensorCore

DEFAULT_BITS = 8
"""Width of a converter without a stated resolution."""
HELD = "phase shifters"
"""The part of a bill that holds the settings of cores."""
WAITING = "phase shifters while waiting"
"""The same while cores wait for memory or electronics."""


class Loss(NamedTuple):
    """One step of the way of light."""

    what: str
    loss_db: float
    """Loss in dB, negative where light from several ways adds up."""


class Setting(NamedTuple):
    """What it takes to set one tile."""

    dac: float
    """Energy in J of the DACs that set it."""
    write: float
    """Energy in J of writing its cells."""
    time: float
    """Time in s until all tiles of a step are set."""
    hold: float
    """Static power in W that holds one core's settings, during and after setting."""


class CostModel:
    """What one tensor core of a chip takes; a technology gives a subclass of it as its `cost`.

    The defaults are those of a plain analogue core: k modulators, k detectors and k ADCs, one vector at a time, a tile
    for each block of the matrix that stays where it is, set by one DAC, value after value, and held without power.

    Args:
        chip: The hardware.
    """

    assumptions: ClassVar[tuple[str, ...]] = (
        "Cores of a technology without a cost model of its own are counted as k modulators, k detectors and k ADCs, "
        "one vector at a time; one DAC sets the k x k weights one after another, one per symbol, and no power holds "
        "them. Losses and room inside the core are not known and counted as none.",
    )
    """What the figures rest on, in sentences."""
    expected_settings: ClassVar[tuple[str, ...]] = ()
    """What is assumed of the settings of a core that is not programmed."""
    parts: ClassVar[frozenset[str]] = frozenset()
    """Parts of a bill that are listed even where they are 0."""
    rewritten: ClassVar[bool] = False
    """Whether tiles replace each other on the cores of a layer that has cores of its own."""

    def __init__(self, chip: Chip) -> None:
        self.chip = chip

    @property
    def channels(self) -> int:
        """Number of vectors that pass a core at once, each with a laser of its own."""
        return 1

    @property
    def modulators(self) -> int:
        """Number of input modulators of a core."""
        return self.chip.block_size

    @property
    def receivers(self) -> int:
        """Number of photodetectors of a core, with their amplifiers."""
        return self.chip.block_size

    @property
    def readings(self) -> int:
        """Number of values that a core gives per symbol."""
        return self.chip.block_size

    @property
    def lit_detectors(self) -> int:
        """Number of detectors that the light on the longest path is divided among, each at its sensitivity."""
        return self.chip.block_size

    @property
    def setting_converters(self) -> int:
        """Number of DACs of a core that set its weights."""
        return 1

    @property
    def settings(self) -> int:
        """Number of values that are converted to set one tile."""
        return self.chip.block_size**2

    @property
    def sharing(self) -> Sharing:
        """How far a modulated value reaches."""
        return "cores"

    def own_cores(self, tiling: Tiling) -> int:
        """Number of cores of a layer that shares none with others."""
        return tiling.tiles

    def losses(self) -> list[Loss]:
        """What light meets between the modulators and the detector of the longest path."""
        return []

    def shared_split_db(self) -> float:
        """The part in dB of the split to the inputs that costs no detector anything; see `link.losses`."""
        return 10 * math.log10(self.chip.block_size)

    def core_areas(self, count: int) -> dict[str, float]:
        """Area in m^2 inside so many cores, by kind of device."""
        return {}

    def setting(self, tiling: Tiling, core: TensorCore | None) -> Setting:
        """What setting a tile of a layer takes.

        Args:
            tiling: The layer.
            core: The programmed core; None where the layer is only planned, and the figures are expected ones.
        """
        devices = self.chip.devices
        return Setting(self.settings * devices.dac_energy.value, 0.0, self.settings / devices.symbol_rate.value, 0.0)

    def tile_bytes(self) -> float:
        """Bytes in memory of the settings of one core."""
        return self.settings * DEFAULT_BITS / 8


def cost_of(chip: Chip) -> CostModel:
    """The cost model of the technology that a chip is of.

    Raises:
        RequestError: Nobody has registered that technology, or what it names as its `cost` cannot be loaded.
    """
    return technology_of(chip).load("cost", CostModel, CostModel)(chip)
