"""Absorbers, which are optical activations between matrix layers, and named presets."""

from lightloom.chips.absorber.chip import AbsorberChip
from lightloom.chips.absorber.presets import ABSORBERS, absorber

__all__ = ["ABSORBERS", "AbsorberChip", "absorber"]
