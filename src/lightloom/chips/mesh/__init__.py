"""Chips of Mach-Zehnder meshes: the hardware, its devices, and named presets."""

from lightloom.chips.mesh.chip import MeshChip
from lightloom.chips.mesh.devices import MeshDevices

__all__ = ["MeshChip", "MeshDevices"]
