"""Devices of crossbars of phase-change cells, for the cost of a chip."""

from __future__ import annotations

from lightloom.chips.constants import Decibel, Joules, Ratio, Seconds, SquareMetres, reported
from lightloom.chips.devices import Peripherals, second_hand
from lightloom.common.config import Section


class _PCMCell(Section):
    """The cell that phase-change crossbars are made of.

    Energies and times are those of one step between neighbouring levels where the chip writes level by level, and of
    one pulse where it writes with single pulses.
    """

    amorphise_energy: Joules
    """Energy that makes a cell more transparent, by one level or with one pulse."""
    crystallise_energy: Joules
    """Energy that makes a cell darker, by one level or with one pulse."""
    amorphise_time: Seconds
    """Time until a cell is more transparent, by one level or with one pulse."""
    crystallise_time: Seconds
    """Time until a cell is darker, by one level or with one pulse."""
    endurance: Ratio
    """Switching cycles after which a cell no longer switches."""
    cell_area: SquareMetres
    """Chip area of one cell with its crossing."""
    cell_loss: Decibel
    """Optical loss of a cell at its most transparent level."""
    crossing_loss: Decibel = reported(
        0.043, "dB", "Johnson et al., Opt. Express 28, 12498 (2020): 43 +- 4 mdB per crossing"
    )
    """Optical loss of one waveguide crossing."""
    splitter_loss: Decibel = second_hand(0.1, "dB", "Y branch")
    """Excess loss of one stage that splits light in two, or joins it."""


class PCMDevices(Peripherals, _PCMCell):
    """Devices around and inside one phase-change crossbar, as the cost model counts them."""

    # fields of the last base come first: what is inside a core stands before what is around it
