"""What a run folder says of its meshes: `phases.safetensors`, checked."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightloom.common.errors import RequestError

Array = NDArray[np.float64]

_NAME = re.compile(r"(?P<layer>.+)/(?:(?P<mesh>[uv])/(?P<kind>commanded|realised)|(?P<middle>sigma|gain))", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Phases:
    """Phases of one block per layer: `tensors[layer][mesh, kind]` is [n_phases] in rad."""

    size: int
    layout: str
    field: str
    tensors: Mapping[str, Mapping[tuple[str, str], Array]]
    middles: Mapping[str, Mapping[str, Array]] = dataclasses.field(default_factory=dict)
    """Numbers of the middle by layer: `sigma` [size], signed singular values of the block, and `gain` [1], the value of
    an open attenuator; each where it is stored."""

    def attenuators(self, layer: str) -> Array | None:
        """Phases [size] in rad, in [0, pi], of the attenuators between the meshes, None where unknown."""
        middle = self.middles.get(layer, {})
        if "sigma" not in middle:
            return None
        gain = max(float(np.abs(middle["sigma"]).max()), float(middle.get("gain", np.zeros(1)).max()))
        angles: Array = np.arccos(np.clip(middle["sigma"] / (gain or 1.0), -1, 1))
        return angles


def read_phases(path: Path, order: Iterable[str]) -> Phases | None:
    """The phases of a run, layers in the order of the network; None where there is no such file.

    Args:
        path: The file; it need not be there.
        order: Names of the layers in the order of the network.

    Raises:
        RequestError: It is no such file, or lacks what it should say.
    """
    if not path.is_file():
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            metadata = stored.metadata() or {}
            flat = {name: np.asarray(stored.get_tensor(name), dtype=np.float64) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise RequestError(f"`{path}` is not a safetensors file: {error}.") from None
    try:
        size, layout, kind_of_field = int(metadata["size"]), metadata["layout"], metadata["field"]
    except (KeyError, ValueError) as error:
        raise RequestError(f"`{path}` lacks its metadata `size`, `layout`, `field`: {error}.") from None
    return _grouped(path, flat, {name: index for index, name in enumerate(order)}, (size, layout, kind_of_field))


def _grouped(path: Path, flat: Mapping[str, Array], rank: Mapping[str, int], mesh: tuple[int, str, str]) -> Phases:
    """Tensors by layer, in order; those that the network does not name come last."""
    tensors: dict[str, dict[tuple[str, str], Array]] = {}
    middles: dict[str, dict[str, Array]] = {}
    names = {name: _NAME.fullmatch(name) for name in flat}
    for name, match in names.items():
        if match is None:
            raise RequestError(f"`{path}` holds a tensor `{name}`; expected names like `LAYER/u/commanded`.")
        if match["middle"]:
            middles.setdefault(match["layer"], {})[match["middle"]] = _middle(path, name, flat[name], mesh[0])
        else:
            tensors.setdefault(match["layer"], {})[match["mesh"], match["kind"]] = flat[name]
    layers = sorted(tensors, key=lambda layer: (rank.get(layer, len(rank)), layer))
    return Phases(*mesh, {layer: tensors[layer] for layer in layers}, middles)


def _middle(path: Path, name: str, tensor: Array, size: int) -> Array:
    expected = size if name.endswith("/sigma") else 1
    if tensor.size != expected or not np.isfinite(tensor).all():
        raise RequestError(
            f"`{path}` holds `{name}` of shape {tensor.shape}; expected {expected} finite values of one block. "
            "Store one block of a layer."
        )
    return tensor.reshape(-1)
