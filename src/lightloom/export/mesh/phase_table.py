"""Every phase shifter and attenuator of a model in one table: where it is, what is asked of it, what light meets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightloom.common.arguments import checked
from lightloom.export.atomic_folder import whole_stream
from lightloom.export.mesh.settings import DeviceSettings, chosen_blocks, commanded, mesh_cores, realised
from lightloom.export.technology import Block
from lightloom.nn import MeshCore
from lightloom.physics.mesh import Field, Layout, wiring

COLUMNS = (
    *("layer", "block", "side", "column", "position", "device"),
    *("commanded_rad", "realised_rad", "holding_power_w"),
)
"""Columns of the table. `block` is group-row-column; `side` v, sigma or u, in the order of the light; `position` the
waveguides, the upper one first; `device` theta, phi, output or attenuator. theta is the angle by which an MZI turns two
fields."""

_BATCH = 4096  # blocks whose numbers are held at once
_HERE = "\0"  # stands for layer and block until they are known


@checked
def phase_table(
    model: nn.Module,
    path: Path,
    *,
    layers: str | Iterable[str] | None = None,
    blocks: int | Sequence[Block] | None = None,
) -> dict[str, Any]:
    """Write the table as CSV, block after block, so that a model of any size fits.

    Args:
        model: A converted model.
        path: The file.
        layers: Names or globs of layers; None is all on meshes.
        blocks: How many of each layer, or which (group, row, column); None is all.

    Returns:
        `rows` of the table, and `holding_power_w`, their sum.

    Raises:
        RequestError: There is no mesh, or a layer or block is unknown.
        WorkError: The disk is full or refuses.
    """
    cores = mesh_cores(model, layers)
    selected = {name: chosen_blocks(core, blocks) for name, core in cores.items()}
    rows, power = 0, 0.0
    with whole_stream(path) as stream:
        stream.write(",".join(COLUMNS) + "\n")
        for name, core in cores.items():
            for text, count, holding in _texts(name, core, selected[name]):
                stream.write(text)
                rows, power = rows + count, power + holding
    return {"rows": rows, "holding_power_w": power}


def _texts(name: str, core: MeshCore, blocks: Sequence[Block]) -> Iterator[tuple[str, int, float]]:
    """The rows of one block after the other, how many they are, and their power."""
    chip = core.chip
    template = _template(chip.block_size, chip.layout, chip.field)
    layer = _quoted(name).replace("%", "%%")
    for start in range(0, len(blocks), _BATCH):
        some = blocks[start : start + _BATCH]
        command, reality = (_in_order(take(core, some)) for take in (commanded, realised))
        power = command / math.pi * chip.devices.shifter_power.value
        numbers = torch.stack([command, reality, power], dim=-1)
        for block, row, holding in zip(some, numbers.flatten(1).tolist(), power.sum(1).tolist(), strict=True):
            here = f"{layer},{'-'.join(map(str, block))}"
            yield template.replace(_HERE, here) % tuple(row), len(row) // 3, holding


def _in_order(settings: DeviceSettings) -> torch.Tensor:
    return torch.cat([settings.v, settings.attenuators, settings.u], dim=1)


@lru_cache(maxsize=32)
def _template(size: int, layout: Layout, field: Field) -> str:
    """Rows of a block with places for layer, block and numbers."""
    mesh = list(_devices(size, layout, field))
    attenuators = [f"sigma,0,{waveguide},attenuator" for waveguide in range(size)]
    devices = [*(f"v,{device}" for device in mesh), *attenuators, *(f"u,{device}" for device in mesh)]
    return "".join(f"{_HERE},{device},%.9g,%.9g,%.9g\n" for device in devices)


def _devices(size: int, layout: Layout, field: Field) -> Iterator[str]:
    """column, position and device of every phase of a mesh, in phase order."""
    mzis = wiring(size, layout)
    positions = list(zip(mzis.column.tolist(), mzis.upper.tolist(), mzis.lower.tolist(), strict=True))
    yield from (f"{column},{upper}-{lower},theta" for column, upper, lower in positions)
    if field == "complex":
        yield from (f"{column},{upper},phi" for column, upper, _ in positions)
        yield from (f"{len(mzis.columns)},{waveguide},output" for waveguide in range(size))


def _quoted(name: str) -> str:
    """A name as a field of CSV."""
    doubled = name.replace('"', '""')
    return f'"{doubled}"' if any(sign in name for sign in ',"\r\n') else name
