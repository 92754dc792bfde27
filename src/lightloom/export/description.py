"""What `lightloom.json` says of a saved network, and what its chips are."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pydantic import Field
from torch import nn

from lightloom.chips import Chip
from lightloom.chips.technologies import TECHNOLOGIES, labels
from lightloom.common.config import Section
from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import read_json
from lightloom.common.folders import settle
from lightloom.export.atomic_folder import inside
from lightloom.nn import optical_layers

FORMAT = 1
"""Version of the folder that is written; any up to this one is read."""

INDEX, CHIPS, WEIGHTS, ORDERS, CONFIG, SAMPLE = (
    *("lightloom.json", "chips.json", "model.safetensors"),
    *("orders.safetensors", "config.json", "sample.safetensors"),
)


class SavedLayer(Section):
    """A layer on a chip."""

    name: str
    """In the model; empty where the model is the layer."""
    kind: str
    """Class of the optical layer."""
    core: str
    """Place on the chip, which decides the devices of a specimen."""
    chip: str
    """Key in `chips.json`."""
    rows: int = Field(ge=1)
    """Of each group's matrix."""
    columns: int = Field(ge=1)
    """Of each group's matrix."""
    groups: int = Field(ge=1)
    """How many matrices."""
    mode: str
    """What trains."""
    tied_to: str | None = None
    """The layer whose core it shares."""
    specimen: int | None = None
    """Seed of the manufactured chip that it is on; None is a chip without hidden errors."""


class Description(Section):
    """The whole of `lightloom.json`."""

    format: int
    """Version of the folder."""
    lightloom: str
    """Version that wrote it."""
    network: str
    """Class of the model."""
    note: str = ""
    """The user's."""
    layers: list[SavedLayer]
    """On chips, in the order of the model."""
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
    found = labels(layer.chip for layer in layers.values())
    return {key: chip for chip, key in found.items()}, {name: found[layer.chip] for name, layer in layers.items()}


def specimen_seed(core: Any) -> int | None:
    """The seed from which a core's devices can be made again.

    Raises:
        RequestError: There is none: the chip has aged, or nobody knows which one it is.
    """
    specimen = getattr(core, "specimen", None)
    if specimen is None and not _flawed(core):
        return None
    if specimen is None or not _made_again(core, specimen.seed):
        raise RequestError(
            f"Core `{core.name}` is on a chip that no seed describes, such as an aged one. Save the network without "
            "its specimens: `specimens=False`."
        )
    return int(specimen.seed)


def _errors(core: Any, seed: int) -> dict[str, Any]:
    specimen = core.chip.specimen(seed)
    if core.chip.technology == "mesh":
        drawn = specimen.mesh_errors(core.name, core.blocks, core.shifters)
    else:
        drawn = specimen.pcm_errors(core.name, len(core.array_rows))
    errors: dict[str, Any] = drawn._asdict()
    return errors


def _flawed(core: Any) -> bool:
    return any(getattr(core, field) is not None for field in _errors(core, 0))


def _made_again(core: Any, seed: int) -> bool:
    for field, drawn in _errors(core, seed).items():
        held = getattr(core, field)
        if (held is None) != (drawn is None) or (held is not None and not bool((drawn.to(held) == held).all())):
            return False
    return True


def chips_text(chips: dict[str, Chip]) -> str:
    """`chips.json`."""
    described = {key: chip.model_dump(mode="json") for key, chip in chips.items()}
    return json.dumps(described, indent=2, allow_nan=False) + "\n"


def write_out(description: Description) -> str:
    """`lightloom.json`."""
    return json.dumps(description.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"


def begin(model: nn.Module, note: str) -> dict[str, Any]:
    """The fields of a description that do not depend on layers and files."""
    kind = type(model)
    named = {"format": FORMAT, "lightloom": version("lightloom"), "note": note}
    return {**named, "network": f"{kind.__module__}.{kind.__qualname__}"}


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
    given = read_json(inside(folder, INDEX))
    number = given.get("format") if isinstance(given, dict) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise RequestError(f"`{folder / INDEX}` does not say what format it has. Is it a file of Lightloom?")
    if number > FORMAT:
        raise RequestError(
            f"`{folder}` has format {number}, written by lightloom {given.get('lightloom')}; this version reads up to "
            f"format {FORMAT}. Update it: `pip install -U lightloom`."
        )
    description = Description.parse(given, INDEX)
    for name in (CHIPS, WEIGHTS):
        if name not in description.files:
            raise RequestError(f"`{folder / INDEX}` names no `{name}`. Save the network again.")
    for name, wanted in description.files.items():
        if name not in (CHIPS, WEIGHTS, ORDERS, CONFIG, SAMPLE):
            raise RequestError(f"`{folder / INDEX}` names a file `{name}`, which is none of a saved network.")
        if digest(inside(folder, name)) != wanted:
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
    given = read_json(inside(folder, CHIPS))
    if not isinstance(given, dict):
        raise RequestError(f"`{folder / CHIPS}` holds no chips by name.")
    chips: dict[str, Chip] = {}
    for key, fields in given.items():
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
