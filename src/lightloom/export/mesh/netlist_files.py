"""The netlists of a whole model, one file per block, and what each of them is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.common.files import write_json
from lightloom.export.atomic_folder import file_stem, whole_folder
from lightloom.export.mesh.netlist import netlist_texts
from lightloom.export.mesh.settings import chosen_blocks, mesh_cores
from lightloom.export.technology import Block

INDEX = "netlists.json"
MOST_FILES = 20_000
"""Blocks that are written unless a limit is given: a file for each of more is seldom what is meant."""


@checked
def write_netlists(
    model: nn.Module,
    folder: Path,
    *,
    layers: str | Iterable[str] | None = None,
    blocks: int | Sequence[Block] | None = None,
    realised: bool = False,
) -> dict[str, Any]:
    """Write `folder/LAYER/GROUP-ROW-COLUMN.json` for every block, and `folder/netlists.json`, which names them all.

    Args:
        model: A converted model.
        folder: Where to; a folder of netlists is replaced as a whole.
        layers: Names or globs of layers; None is all on meshes.
        blocks: How many of each layer, or which (group, row, column); None is all.
        realised: As `netlist`.

    Returns:
        What `netlists.json` holds.

    Raises:
        RequestError: There is no mesh, a layer or block is unknown, there are very many blocks and no limit, or the
            folder holds something else.
    """
    cores = mesh_cores(model, layers)
    selected = {name: chosen_blocks(core, blocks) for name, core in cores.items()}
    number = sum(map(len, selected.values()))
    if blocks is None and number > MOST_FILES:
        raise RequestError(
            f"These are {number:,} blocks, each with a file of its own. Say how many of each layer by `blocks=`, which "
            "layers by `layers=`, or take the phase table, which is one file."
        )
    described: dict[str, Any] = {}
    with whole_folder(folder, "netlists") as part:
        for place, (name, core) in enumerate(cores.items()):
            stem = file_stem(place, name)
            (part / stem).mkdir()
            files = [f"{stem}/{'-'.join(map(str, block))}.json" for block in selected[name]]
            for file, text in zip(files, netlist_texts(core, selected[name], realised_phases=realised), strict=True):
                (part / file).write_text(text, encoding="utf-8")  # the folder is whole or not there, whatever is in it
            described[name] = {
                "rows": core.rows,
                "columns": core.columns,
                "blocks": list(core.blocks),
                "block_size": core.chip.block_size,
                "layout": core.chip.layout,
                "field": core.chip.field,
                "files": files,
            }
        index = {"format": 1, "phases": "realised" if realised else "commanded", "layers": described}
        write_json(part / INDEX, index)
    return index
