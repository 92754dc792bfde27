"""What conversion did with each layer: a record of each, and a table to read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lightloom.common.text_table import text_table

_HEAD = ("layer", "kind", "weight", "place", "blocks", "devices", "error", "")
_RIGHT = {5, 6}


@dataclass(frozen=True)
class LayerReport:
    """What conversion did with one layer."""

    name: str
    kind: str
    converted: bool
    reason: str
    """Why it stayed electronic; empty where it was converted."""
    shape: tuple[int, ...]
    """Shape of the layer's weight."""
    blocks: tuple[int, ...] = ()
    """(groups, p, q): how many k x k blocks hold the weight."""
    block_size: int = 0
    mzis: int = 0
    """0 too where the core is another layer's, which counts it."""
    cells: int = 0
    """PCM cells that hold a weight; 0 too where the core is another layer's."""
    weight_error: float = 0.0
    """||made - wanted||^2 / ||wanted||^2 on perfect devices: of decomposing into meshes, or of rounding to levels."""
    errors: dict[str, float] = field(default_factory=dict)
    """The same on the real devices, after each stage of a run."""
    chip: str = ""
    """Name of the chip that it is on."""
    technology: str = ""
    """What that chip is made of."""
    tied_to: str = ""
    """The layer whose tensor core it shares, since they share a weight."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a run folder."""
        return asdict(self)


def table(layers: Sequence[LayerReport]) -> str:
    """One line for each layer, then one for each chip and one for all.

    The error is ||made - wanted|| / ||wanted|| on perfect devices; blocks are groups x rows x columns of them.
    """
    head, *rows = text_table(_HEAD, map(_row, layers), right=_RIGHT)
    return "\n".join([head, "-" * max(map(len, (head, *rows))), *rows, "", *_sums(layers)])


def _row(layer: LayerReport) -> tuple[str, ...]:
    shape = "x".join(map(str, layer.shape))
    name = layer.name or "(root)"
    if not layer.converted:
        return (name, layer.kind, shape, "electronics", "", "", "", layer.reason)
    blocks = "x".join(map(str, layer.blocks)) + f" of {layer.block_size}"
    note = f"shares the core of {layer.tied_to}" if layer.tied_to else ""
    return (name, layer.kind, shape, layer.chip, blocks, _devices(layer), f"{layer.weight_error**0.5:.1e}", note)


def _devices(layer: LayerReport) -> str:
    return "" if layer.tied_to else _counted(layer.mzis, layer.cells, "cells")


def _sums(layers: Sequence[LayerReport]) -> list[str]:
    lines = []
    places = dict.fromkeys((layer.technology, layer.chip) for layer in layers if layer.converted)
    for technology, chip in places:
        here = [layer for layer in layers if layer.converted and (layer.technology, layer.chip) == (technology, chip)]
        blocks = sum(math.prod(layer.blocks) for layer in here if not layer.tied_to)
        mzis, cells = sum(layer.mzis for layer in here), sum(layer.cells for layer in here)
        parts = [_of(len(here), "layer"), _of(blocks, "block"), _counted(mzis, cells, "PCM cells")]
        lines.append(f"{chip} ({technology}): {', '.join(filter(None, parts))}")
    optical = [layer for layer in layers if layer.converted]
    lines.append(f"{len(optical)} of {len(layers)} layers with weights are on a chip.")
    return lines


def _counted(mzis: int, cells: int, name: str) -> str:
    """The devices that are counted; a technology may have none of either kind."""
    return f"{mzis:,} MZIs" if mzis else f"{cells:,} {name}" if cells else ""


def _of(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
