"""What `lightloom.json` says of a saved network, and what its chips are."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from lightloom.chips import TECHNOLOGIES, Chip, Specimen, labels
from lightloom.common.config import Section
from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import read_json
from lightloom.common.folders import settle
from lightloom.export.atomic_folder import inside
from lightloom.nn import TensorCore, optical_layers
from lightloom.nn.copies import copy_of

FORMAT = 1
"""Version of the folder that is written; any up to this one is read."""

INDEX, CHIPS, WEIGHTS, ORDERS, CONFIG, SAMPLE = (
    *("lightloom.json", "chips.json", "model.safetensors"),
    *("orders.safetensors", "config.json", "sample.safetensors"),
)


class SavedLayer(Section):
    """A layer on a chip."""

    name: str
    """Name of the layer in the model; empty where the model is the layer."""
    kind: str
    """Name of the class of the optical layer."""
    core: str
    """Place on the chip, which decides the devices of a specimen."""
    chip: str
    """Key in `chips.json`."""
    rows: int = Field(ge=1)
    """Rows of each group's matrix."""
    columns: int = Field(ge=1)
    """Columns of each group's matrix."""
    groups: int = Field(ge=1)
    """Number of matrices."""
    mode: str
    """What of the core trains, one of its modes."""
    tied_to: str | None = None
    """The layer whose core it shares."""
    specimen: int | None = None
    """Seed of the manufactured chip that it is on; None is a chip without hidden errors."""


class Description(Section):
    """The whole of `lightloom.json`."""

    format: int
    """Version of the format of the folder."""
    lightloom: str
    """Version of Lightloom that wrote the folder."""
    network: str
    """Name of the class of the model."""
    note: str = ""
    """Whatever the user wanted to say."""
    layers: list[SavedLayer]
    """The layers on chips, in the order of the model."""
    shared: dict[str, str] = Field(default_factory=dict)
    """Names of tensors that are the same as another one, which is stored."""
    files: dict[str, str]
    """SHA-256 of every other file of the folder."""


def describe_layers(model: nn.Module, keys: dict[str, str], specimens: bool) -> list[SavedLayer]:
    """The layers of a converted model.

    Args:
        model: The model.
        keys: Key in `chips.json` by layer.
        specimens: Whether to note the seeds of installed specimens.
    """
    first: dict[int, str] = {}
    layers = []
    for name, layer in optical_layers(model).items():
        core = layer.core
        tied_to = first.setdefault(id(core), name)
        layers.append(
            SavedLayer(
                name=name,
                kind=type(layer).__name__,
                core=core.name,
                chip=keys[name],
                rows=core.rows,
                columns=core.columns,
                groups=core.groups,
                mode=core.mode,
                tied_to=None if tied_to == name else tied_to,
                specimen=specimen_seed(core) if specimens else None,
            )
        )
    return layers


def named_chips(model: nn.Module) -> tuple[dict[str, Chip], dict[str, str]]:
    """The different chips of a model by a name of their own, and the name of each layer's."""
    layers = optical_layers(model)
    keys = labels(layer.chip for layer in layers.values())
    return {key: chip for chip, key in keys.items()}, {name: keys[layer.chip] for name, layer in layers.items()}


def specimen_seed(core: TensorCore) -> int | None:
    """The seed from which a core's devices can be made again.

    Raises:
        RequestError: There is none: the chip has aged, or nobody knows which one it is.
    """
    specimen: Specimen | None = getattr(core, "specimen", None)
    if specimen is None and _is_of(core, None):
        return None
    if specimen is None or not _is_of(core, core.chip.specimen(specimen.seed)):
        raise RequestError(
            f"Core `{core.name}` is on a chip that no seed describes, such as an aged one. Save the network without "
            "its specimens: `specimens=False`."
        )
    return int(specimen.seed)


def _hardware(core: TensorCore) -> dict[str, Tensor]:
    """The tensors that are no part of the weights: what the devices at the core's place on a specimen are like."""
    weights = core.state_dict().keys()
    return {name: buffer for name, buffer in core.named_buffers() if name not in weights}


def _is_of(core: TensorCore, specimen: Specimen | None) -> bool:
    """Whether a core is made of the devices of a specimen, of perfect ones where that is None."""
    other = copy_of(core)
    other.install(specimen)
    devices, expected = _hardware(core), _hardware(other)
    return devices.keys() == expected.keys() and all(
        bool((expected[name].to(device) == device).all()) for name, device in devices.items()
    )


def chips_text(chips: dict[str, Chip]) -> str:
    """`chips.json`."""
    described = {key: chip.model_dump(mode="json") for key, chip in chips.items()}
    return json.dumps(described, indent=2, allow_nan=False) + "\n"


def write_out(description: Description) -> str:
    """`lightloom.json`."""
    return json.dumps(description.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"


def begin(model: nn.Module, note: str) -> dict[str, Any]:
    """The fields of a description that do not depend on layers and files.

    Args:
        model: The network.
        note: Anything that the user wants to say.
    """
    kind = type(model)
    header = {"format": FORMAT, "lightloom": version("lightloom"), "note": note}
    return {**header, "network": f"{kind.__module__}.{kind.__qualname__}"}


def read_description(folder: Path) -> Description:
    """`lightloom.json`, once every file that it names is there and whole.

    Raises:
        RequestError: There is no saved network, it is of a newer format, or a file is missing, cut short, changed, or
            lies outside the folder.
    """
    if not folder.exists():
        settle(folder)
    if not (folder / INDEX).is_file():
        raise RequestError(f"There is no saved network in `{folder}`: it has no `{INDEX}`. `save` makes such a folder.")
    index = read_json(inside(folder, INDEX))
    number = index.get("format") if isinstance(index, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise RequestError(f"`{folder / INDEX}` does not say what format it has. Is it a file of Lightloom?")
    if number > FORMAT:
        raise RequestError(
            f"`{folder}` has format {number}, written by lightloom {index.get('lightloom')}; this version reads up to "
            f"format {FORMAT}. Update it: `pip install -U lightloom`."
        )
    description = Description.parse(index, INDEX)
    for name in (CHIPS, WEIGHTS):
        if name not in description.files:
            raise RequestError(f"`{folder / INDEX}` names no `{name}`. Save the network again.")
    for name, checksum in description.files.items():
        if name not in (CHIPS, WEIGHTS, ORDERS, CONFIG, SAMPLE):
            raise RequestError(f"`{folder / INDEX}` names a file `{name}`, which is none of a saved network.")
        if digest(inside(folder, name)) != checksum:
            raise RequestError(
                f"`{folder / name}` is not the file that was saved: it is cut short, damaged or changed. "
                "Copy the folder once more."
            )
    return description


def read_chips(folder: Path) -> dict[str, Chip]:
    """The chips of a saved network.

    Raises:
        RequestError: One is unknown or has a value that does not fit.
    """
    entries = read_json(inside(folder, CHIPS))
    if not isinstance(entries, dict):
        raise RequestError(f"`{folder / CHIPS}` holds no chips by name.")
    chips: dict[str, Chip] = {}
    for key, fields in entries.items():
        technology = fields.get("technology") if isinstance(fields, dict) else None
        if not isinstance(technology, str) or technology not in TECHNOLOGIES:
            raise RequestError(
                f"`{folder / CHIPS}`: `{key}` has no known technology. {nearest(str(technology), TECHNOLOGIES)}"
            )
        chips[key] = TECHNOLOGIES[technology].chip.parse(fields, f"chip {key}")
    return chips


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
