"""What became of each layer of a network: `layers.json`."""

from __future__ import annotations

from lightloom.schemas.base import Amount, Record


class LayerRow(Record):
    """One layer of a network: on a chip, or left electronic for a reason."""

    name: str
    """Name of the layer in the network."""
    kind: str = ""
    """Class of the layer."""
    converted: bool = False
    """Whether the layer is on a chip."""
    reason: str = ""
    """Why the layer stayed electronic; empty where it was converted."""
    shape: list[int] = []
    """Shape of its weight."""
    blocks: list[int] = []
    """[groups, p, q]: how many k x k blocks hold the weight."""
    block_size: int | None = None
    """k, the rows and columns of a block."""
    mzis: int | None = None
    """MZIs of its core; 0 too where the core is another layer's, which counts it."""
    cells: int | None = None
    """PCM cells that hold its weight; 0 too where the core is another layer's."""
    devices: dict[str, int] = {}
    """Devices of its core by kind, where its technology counts others than MZIs and cells."""
    weight_error: Amount = None
    """||made - wanted||^2 / ||wanted||^2 on perfect devices, as its technology represents the weight."""
    errors: dict[str, Amount] = {}
    """The same on the real devices, by state of the network."""
    chip: str = ""
    """Name of the chip that the layer is on."""
    technology: str = ""
    """Technology of that chip."""
    tied_to: str = ""
    """The layer whose tensor core it shares, since they share a weight."""

    @property
    def counts(self) -> dict[str, int]:
        """Devices of its core by the name of their kind; kinds of which there are none are left out."""
        numbers = {"MZIs": self.mzis, "Cells": self.cells, **self.devices}
        return {kind: number for kind, number in numbers.items() if number}
