"""Photonic hardware: frozen descriptions, presets that cite their source, and specimens of them.

>>> from lightloom import chips
>>> chip = chips.preset("l2ight")
>>> quieter = chip.replace(gamma_std=0.0, crosstalk=0.0)
>>> specimen = chip.specimen(seed=7)  # one manufactured chip, with its own hidden errors
"""

from lightloom.chips.devices import Constant, MeshDevices
from lightloom.chips.mesh import MeshChip
from lightloom.chips.presets import PRESETS, preset
from lightloom.chips.specimen import MeshErrors, Specimen

__all__ = ["PRESETS", "Constant", "MeshChip", "MeshDevices", "MeshErrors", "Specimen", "preset"]
