"""The levels of phase-change crossbars in the order in which they are written, for whoever drives the cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.common.files import read_json, write_json
from lightloom.export.atomic_folder import inside, whole_folder
from lightloom.export.tensors import read_tensors, write_tensors
from lightloom.nn import PCMCore, cores
from lightloom.physics.pcm.levels import PAD
from lightloom.physics.pcm.schedule import sequence

INDEX = "levels.json"
TENSORS = "levels.safetensors"
FORMAT = 1

_ORDER = (
    "`LAYER.levels` [turns, arrays, rows k, slots k] int8: signed level of each cell pair, written turn by turn; "
    f"{PAD}: nothing sits here, the pair keeps what it holds. `LAYER.rows` [arrays, k] int32: row of the matrix "
    "[groups * rows, columns] that an array row works for, -1 none. `LAYER.columns` [turns, arrays, k or 1, slots k] "
    "int32: column of the matrix that sits in a slot, -1 none; 1 where the rows of an array share it. The weight of "
    "level s is scale * sign(s) * magnitudes[|s|], computed in `dtype`."
)


@checked
def pcm_levels(model: nn.Module, folder: Path) -> dict[str, Any]:
    """Write the levels of every PCM core to `folder/levels.safetensors`, and what they mean to `folder/levels.json`.

    Args:
        model: A converted model.
        folder: Where to; a folder of levels is replaced as a whole.

    Returns:
        What `levels.json` holds.

    Raises:
        RequestError: No layer is on a crossbar, one is an electronic twin, or the folder holds something else.
    """
    crossbars = cores(model, PCMCore)
    if not crossbars:
        raise RequestError("No layer of this network is on phase-change crossbars, and only those hold levels.")
    for name, core in crossbars.items():
        if core.mode == "weight":
            raise RequestError(
                f"Layer `{name}` is an electronic twin (mode `weight`), which has no levels. Put it on the chip first: "
                '`nn.switch(model, "levels")`.'
            )
    tensors, layers = {}, {}
    for name, core in crossbars.items():
        plan = core.schedule_on_cpu()
        tensors[f"{name}.levels"] = sequence(core.levels().cpu(), plan).permute(2, 0, 1, 3)
        tensors[f"{name}.rows"] = plan.rows
        tensors[f"{name}.columns"] = plan.columns.permute(2, 0, 1, 3)
        layers[name] = _described(core)
    index = {"format": FORMAT, "order": _ORDER, "layers": layers}
    with whole_folder(folder, "levels") as part:
        write_tensors(part / TENSORS, tensors)
        write_json(part / INDEX, index)
    return index


@checked
def read_pcm_levels(folder: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The weights [groups * rows, columns] of every layer, from the files of `pcm_levels` alone.

    Raises:
        RequestError: A file is missing, cut short or of another kind.
    """
    index = read_json(inside(folder, INDEX))
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise RequestError(f"`{folder / INDEX}` is no description of levels in format {FORMAT}.")
    tensors = {name: tensor.numpy() for name, tensor in read_tensors(inside(folder, TENSORS)).items()}
    try:
        return {name: _weights(name, layer, tensors) for name, layer in index["layers"].items()}
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise RequestError(f"`{folder / INDEX}` and `{TENSORS}` do not belong together: {error!r}.") from None


def _described(core: PCMCore) -> dict[str, Any]:
    chip = core.chip
    return {
        "groups": core.groups,
        "rows": core.rows,
        "columns": core.columns,
        "block_size": chip.block_size,
        "cell_levels": chip.levels,
        "transmissions": core.table.tolist(),
        "magnitudes": core.magnitudes.tolist(),
        "scale": float(core.scale()),
        "dtype": "float32" if core.matrix.dtype == torch.float32 else "float64",
        "write_model": chip.write_model,
        "start": chip.start,
        "sharing": chip.sharing,
    }


def _weights(name: str, layer: dict[str, Any], tensors: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    levels, rows, columns = (tensors[f"{name}.{part}"] for part in ("levels", "rows", "columns"))
    row, column = np.broadcast_arrays(rows[None, :, :, None], columns)
    row, column = np.broadcast_to(row, levels.shape), np.broadcast_to(column, levels.shape)
    real = levels != PAD
    kind = {"float32": np.float32, "float64": np.float64}[layer["dtype"]]
    weights = kind(layer["scale"]) * np.asarray(layer["magnitudes"], dtype=kind)
    signed = levels[real].astype(np.int64)
    matrix = np.full((layer["groups"] * layer["rows"], layer["columns"]), np.nan, dtype=kind)
    matrix[row[real], column[real]] = np.sign(signed).astype(kind) * weights[np.abs(signed)]
    if np.isnan(matrix).any():
        raise ValueError(f"{int(np.isnan(matrix).sum())} weights of layer {name} have no level")
    return matrix
