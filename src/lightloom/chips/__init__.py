"""Photonic hardware: frozen descriptions, presets that cite their source, and specimens of them.

>>> from lightloom import chips
>>> chip = chips.preset("l2ight")
>>> quieter = chip.replace(gamma_std=0.0, crosstalk=0.0)
>>> specimen = chip.specimen(seed=7)  # one manufactured chip, with its own hidden errors
>>> crossbar = chips.preset("elight", chips.PCMChip)  # another technology
>>> activation = chips.absorber("vapour")  # what stands between matrix layers
>>> masks = chips.diffractive("phoenix")  # free space and phase masks instead of a tensor core
"""

from lightloom.chips.absorber import AbsorberChip
from lightloom.chips.absorber_presets import ABSORBERS, absorber
from lightloom.chips.devices import Constant, MeshDevices, PCMDevices, Peripherals
from lightloom.chips.diffractive import DiffractiveChip, DiffractiveDevices
from lightloom.chips.diffractive_presets import DIFFRACTIVE, diffractive
from lightloom.chips.mesh import MeshChip
from lightloom.chips.pcm import PCMChip
from lightloom.chips.presets import PRESETS, preset
from lightloom.chips.specimen import Aged, MeshErrors, PCMErrors, Specimen
from lightloom.chips.technology import AnyChip, Chip

__all__ = [
    "ABSORBERS",
    "DIFFRACTIVE",
    "PRESETS",
    "AbsorberChip",
    "Aged",
    "AnyChip",
    "Chip",
    "Constant",
    "DiffractiveChip",
    "DiffractiveDevices",
    "MeshChip",
    "MeshDevices",
    "MeshErrors",
    "PCMChip",
    "PCMDevices",
    "PCMErrors",
    "Peripherals",
    "Specimen",
    "absorber",
    "diffractive",
    "preset",
]
