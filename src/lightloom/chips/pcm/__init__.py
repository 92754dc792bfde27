"""Chips of phase-change crossbars: the hardware, its devices, and named presets."""

from lightloom.chips.pcm.chip import PCMChip
from lightloom.chips.pcm.devices import PCMDevices

__all__ = ["PCMChip", "PCMDevices"]
