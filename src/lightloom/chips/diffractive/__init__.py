"""Diffractive hardware: phase masks between a modulator and a camera, and named presets."""

from lightloom.chips.diffractive.chip import DiffractiveChip, DiffractiveDevices
from lightloom.chips.diffractive.presets import DIFFRACTIVE, diffractive

__all__ = ["DIFFRACTIVE", "DiffractiveChip", "DiffractiveDevices", "diffractive"]
