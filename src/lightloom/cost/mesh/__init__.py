"""What meshes of Mach-Zehnder interferometers take: to compute, to hold their phases, and to learn."""

from lightloom.cost.mesh.model import MeshCost

__all__ = ["MeshCost"]
