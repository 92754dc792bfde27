"""Diffractive layers and networks: images that pass phase masks in free space, in the place of convolutions.

The physics is in `lightloom.physics.diffraction`, the hardware in `lightloom.chips.DiffractiveChip`.
"""

from lightloom.nn.diffractive.conv import DiffractiveConv2d, Mixing
from lightloom.nn.diffractive.network import DiffractiveNetwork
from lightloom.nn.diffractive.specimen import misalign

__all__ = ["DiffractiveConv2d", "DiffractiveNetwork", "Mixing", "misalign"]
