"""What a run on a PCM chip says of its writes: `writes.json` and `wear.safetensors`, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightloom.common.errors import RequestError
from lightloom.schemas import WritesFile, read

Wear = Mapping[str, Mapping[tuple[str, str], NDArray[np.float64]]]
"""`wear[layer][state, order]` is [2, k, k]: pulses per inference on the positive and the negative cells of one array,
the one with the cell of the layer that is written most."""


def read_writes(path: Path) -> WritesFile | None:
    """The writes of a run, None where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return read(path, WritesFile, None)


def read_wear(path: Path) -> Wear:
    """Pulses on the cells of each layer, empty where the file is absent.

    Raises:
        RequestError: The file is not safetensors, or a tensor in it is not a map of wear.
    """
    if not path.is_file():
        return {}
    from safetensors import SafetensorError, safe_open

    maps: dict[str, dict[tuple[str, str], NDArray[np.float64]]] = {}
    try:
        with safe_open(path, framework="numpy") as stored:
            flat = {name: np.asarray(stored.get_tensor(name), dtype=np.float64) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise RequestError(f"`{path}` is not a safetensors file: {error}.") from None
    for name, pulses in flat.items():
        if not re.fullmatch(r".+/[^/]+/[^/]+", name, flags=re.DOTALL):
            raise RequestError(f"`{path}` holds a tensor `{name}`; expected names like `LAYER/STATE/ORDER`.")
        if pulses.ndim != 3 or pulses.shape[0] != 2 or pulses.shape[1] != pulses.shape[2] or not pulses.size:
            raise RequestError(f"`{path}` holds `{name}` of shape {pulses.shape}; expected [2, k, k].")
        if not (np.isfinite(pulses) & (pulses >= 0)).all():
            raise RequestError(f"`{path}` holds `{name}` with pulses below 0 or not finite; expected counts.")
        layer, state, order = name.rsplit("/", 2)
        maps.setdefault(layer, {})[state, order] = pulses
    return maps
