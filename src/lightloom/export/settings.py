"""What the devices of any technology are set to, as plain tensors, with what light makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.common.files import read_json, write_json
from lightloom.export.atomic_folder import inside, whole_folder
from lightloom.export.description import named_chips
from lightloom.export.tensors import read_tensors, write_tensors
from lightloom.nn import optical_layers

INDEX, TENSORS = "settings.json", "settings.safetensors"
FORMAT = 1
"""Version of the folder that is written."""

_CONTENT = (
    "`LAYER.commanded.NAME`: what the controller asks of the devices, as the core of its technology calls it. "
    "`LAYER.realised.weight` [groups * rows, columns]: the matrix that light meets, on the specimen that is installed; "
    "dynamic noise is drawn once."
)


@checked
def write_settings(model: nn.Module, folder: Path) -> dict[str, Any]:
    """Write the settings of every core to `folder/settings.safetensors`, and what they mean to `folder/settings.json`.

    Args:
        model: A converted model, of any technology.
        folder: Where to; a folder of settings is replaced as a whole.

    Returns:
        What `settings.json` holds.

    Raises:
        RequestError: No layer is on a chip, one is an electronic twin, or the folder holds something else.
    """
    layers = optical_layers(model)
    if not layers:
        raise RequestError(
            "No layer of this network is on a chip. Put it there first: `nn.convert(model, chip).model`."
        )
    chips, keys = named_chips(model)
    tensors: dict[str, Tensor] = {}
    index: dict[str, Any] = {}
    for name, layer in layers.items():
        core = layer.core
        if core.mode == "weight":
            raise RequestError(
                f"Layer `{name}` is an electronic twin (mode `weight`), whose devices are set to nothing. Put it on "
                f'the chip first: `nn.switch(model, "{core.modes[0]}")`.'
            )
        tensors |= {f"{name}.commanded.{setting}": tensor for setting, tensor in core.state().items()}
        tensors[f"{name}.realised.weight"] = core.weight().detach()
        index[name] = {
            "chip": keys[name],
            "core": core.name,
            "mode": core.mode,
            "groups": core.groups,
            "rows": core.rows,
            "columns": core.columns,
            "blocks": list(core.blocks),
        }
    described = {key: chip.model_dump(mode="json") for key, chip in chips.items()}
    content = {"format": FORMAT, "content": _CONTENT, "chips": described, "layers": index}
    with whole_folder(folder, "settings") as part:
        write_tensors(part / TENSORS, tensors)
        write_json(part / INDEX, content)
    return content


@checked
def read_settings(folder: Path) -> dict[str, Tensor]:
    """The tensors that `write_settings` wrote, by the names that `settings.json` explains.

    Raises:
        RequestError: A file is missing, cut short or of another kind.
    """
    index = read_json(inside(folder, INDEX))
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise RequestError(f"`{folder / INDEX}` is no description of settings in format {FORMAT}.")
    return read_tensors(inside(folder, TENSORS))
