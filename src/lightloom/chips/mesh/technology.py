"""The record of Mach-Zehnder meshes."""

from __future__ import annotations

from lightloom.chips.mesh.chip import MeshChip
from lightloom.chips.mesh.presets import MESH_PRESETS
from lightloom.chips.technology import Technology

MESH = Technology(
    name="mesh",
    chip=MeshChip,
    presets=MESH_PRESETS,
    core="lightloom.nn.cores.mesh:MeshCore",
    cost="lightloom.cost.mesh:MeshCost",
    bench="lightloom.lab.mesh.network:InstrumentedMeshes",
    export="lightloom.export.mesh.model:MeshExport",
    stages="lightloom.pipeline.technologies.mesh:MeshStages",
)
