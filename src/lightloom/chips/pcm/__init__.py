"""Chips of phase-change crossbars: the hardware, its devices, their hidden errors, and named presets."""

from lightloom.chips.pcm.chip import PCMChip
from lightloom.chips.pcm.devices import PCMDevices
from lightloom.chips.pcm.errors import HEALTHY, PCMErrors
from lightloom.chips.pcm.specimen import Aged, PCMSpecimen

__all__ = ["HEALTHY", "Aged", "PCMChip", "PCMDevices", "PCMErrors", "PCMSpecimen"]
