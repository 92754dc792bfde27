"""Photonic hardware: frozen descriptions, presets that cite their source, and specimens of them.

>>> from lightloom import chips
>>> chip = chips.preset("l2ight")
>>> quieter = chip.replace(gamma_std=0.0, crosstalk=0.0)
>>> specimen = chip.specimen(seed=7)  # one manufactured chip, with its own hidden errors
>>> crossbar = chips.preset("elight", chips.PCMChip)  # another technology
>>> activation = chips.absorber("vapour")  # what stands between matrix layers
>>> masks = chips.diffractive("phoenix")  # free space and phase masks instead of a tensor core
"""

from lightloom.chips.absorber import ABSORBERS, AbsorberChip, absorber
from lightloom.chips.base import Chip, Specimen
from lightloom.chips.constants import Constant, assumed, derived, reported
from lightloom.chips.devices import Peripherals
from lightloom.chips.diffractive import DIFFRACTIVE, DiffractiveChip, DiffractiveDevices, diffractive
from lightloom.chips.mesh import MeshChip, MeshDevices, MeshErrors, MeshSpecimen
from lightloom.chips.pcm import Aged, PCMChip, PCMDevices, PCMErrors, PCMSpecimen
from lightloom.chips.presets import PRESETS, preset
from lightloom.chips.technologies import TECHNOLOGIES, AnyChip, labels, technology_of
from lightloom.chips.technology import Technology

__all__ = [
    "ABSORBERS",
    "DIFFRACTIVE",
    "PRESETS",
    "TECHNOLOGIES",
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
    "MeshSpecimen",
    "PCMChip",
    "PCMDevices",
    "PCMErrors",
    "PCMSpecimen",
    "Peripherals",
    "Specimen",
    "Technology",
    "absorber",
    "assumed",
    "derived",
    "diffractive",
    "labels",
    "preset",
    "reported",
    "technology_of",
]
