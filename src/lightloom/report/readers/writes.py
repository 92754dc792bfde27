"""What a run on a PCM chip says of its writes: `writes.json` and `wear.safetensors`, read and checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from lightloom.common.errors import RequestError
from lightloom.report.readers.schema_check import Amount, read_file

Counted = Annotated[float, Field(ge=0, allow_inf_nan=False)]

Wear = Mapping[str, Mapping[tuple[str, str], NDArray[np.float64]]]
"""`wear[layer][state, order]` is [2, k, k]: pulses per inference on the positive and the negative cells of one array,
the one with the cell of the layer that is written most."""


class LayerWrites(BaseModel):
    """What one inference writes in one layer."""

    name: str
    arrays: int | None = None
    turns: int | None = None
    levels: Counted
    worst_cell: Counted


class Case(BaseModel):
    """What one inference writes in one state of the network and one order of the turns."""

    state: str
    order: str
    levels: Counted
    energy_j: Amount = None
    latency_s: Amount = None
    worst_cell: Counted
    """Pulses on the cell that is written most."""
    first_failure: Amount
    """Inferences; None is never."""
    one_percent_failed: Amount
    cells_failed: int | None = Field(None, ge=0)
    layers: list[LayerWrites] = []

    @property
    def name(self) -> str:
        """As it is called on the page."""
        return f"{self.state}, {self.order}"


class Writes(BaseModel):
    """The whole of `writes.json`; the first case is before, the last one after."""

    cases: list[Case] = Field(min_length=1)
    rate_hz: float | None = Field(None, gt=0, allow_inf_nan=False)
    inferences: Counted = 0.0
    """That the chip is to serve; 0 where nobody asked."""
    index_bits: Amount = None
    weight_bits: Amount = None

    @property
    def first(self) -> Case:
        """Before anything was done about the writes."""
        return self.cases[0]

    @property
    def last(self) -> Case:
        """After everything was."""
        return self.cases[-1]


def read_writes(path: Path) -> Writes | None:
    """The writes of a run, None where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return read_file(path, Writes, None)


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
