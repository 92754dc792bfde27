"""Devices of meshes of Mach-Zehnder interferometers, for the cost of a chip."""

from __future__ import annotations

from lightloom.chips.constants import Decibel, Seconds, SquareMetres, Watts
from lightloom.chips.devices import Peripherals
from lightloom.common.config import Section


class _MZI(Section):
    """The interferometer that meshes are made of."""

    shifter_power: Watts
    """Electrical power that holds one phase shifter at a phase of pi."""
    shifter_time: Seconds
    """Time until a newly driven phase shifter has settled."""
    mzi_loss: Decibel
    """Optical loss of one MZI, couplers and shifter."""
    mzi_area: SquareMetres
    """Chip area of one MZI."""


class MeshDevices(Peripherals, _MZI):
    """Devices around and inside one MZI tensor core, as the cost model counts them."""

    # fields of the last base come first: what is inside a core stands before what is around it
