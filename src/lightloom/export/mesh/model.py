"""What an export says of meshes: which chips hold the same phases, and the formats for circuit simulators."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from lightloom.export.mesh.netlist_files import write_netlists
from lightloom.export.mesh.phase_table import phase_table
from lightloom.export.technology import ExportModel, Format, Selection
from lightloom.nn import MeshCore, Mode, TensorCore


def _netlists(model: nn.Module, path: Path, selection: Selection) -> dict[str, Any]:
    index = write_netlists(model, path, layers=selection.layers, blocks=selection.blocks)
    return {"blocks": sum(len(layer["files"]) for layer in index["layers"].values())}


def _phases(model: nn.Module, path: Path, selection: Selection) -> dict[str, Any]:
    return phase_table(model, path, layers=selection.layers, blocks=selection.blocks)


class MeshExport(ExportModel):
    """Meshes of MZIs in files: a netlist of every block, and a table of every phase."""

    form: ClassVar[tuple[str, ...]] = ("block_size", "layout", "field")
    formats: ClassVar[Mapping[str, Format]] = {
        "netlist": Format("netlists", "a mesh", _netlists),
        "phases": Format("phases.csv", "a mesh", _phases),
    }

    def state(self, core: TensorCore, mode: Mode) -> dict[str, Tensor]:
        """The state of a core in a mode: it has a plain matrix in mode "weight" only.

        Args:
            core: The core.
            mode: One of its modes.
        """
        assert isinstance(core, MeshCore)
        state = {name: tensor for name, tensor in core.state_dict().items() if name != "matrix"}
        if mode == "weight":
            state["matrix"] = core.sigma.detach().new_empty(core.groups * core.rows, core.columns, device="meta")
        return state
