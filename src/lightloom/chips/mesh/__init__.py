"""Chips of Mach-Zehnder meshes: the hardware, its devices, their hidden errors, and named presets."""

from lightloom.chips.mesh.chip import MeshChip
from lightloom.chips.mesh.devices import MeshDevices
from lightloom.chips.mesh.errors import MeshErrors
from lightloom.chips.mesh.specimen import MeshSpecimen

__all__ = ["MeshChip", "MeshDevices", "MeshErrors", "MeshSpecimen"]
