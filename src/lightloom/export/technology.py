"""What the files of a network say of one technology: the form of its weights, their order, and its own formats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from lightloom.chips import TECHNOLOGIES, Chip, technology_of
from lightloom.nn import Mode, TensorCore, optical_layers
from lightloom.nn.copies import copy_of

_log = logging.getLogger("lightloom")

Block = tuple[int, int, int]
"""(group, block row, block column) of a core."""


@dataclass(frozen=True)
class Selection:
    """Which part of a network is written in a format that can leave some of it out."""

    layers: str | Iterable[str] | None = None
    """Names or globs of layers; None is all."""
    blocks: int | Sequence[Block] | None = None
    """How many blocks of each layer, or which; None is all."""


@dataclass(frozen=True)
class Format:
    """One form in which a network can be written for somebody else."""

    file: str
    """Name of the file or folder that is written."""
    hardware: str
    """What a layer must be on to be written so, as an error says it: `a mesh`."""
    write: Callable[[nn.Module, Path, Selection], dict[str, Any]]
    """Writes the network to the path, and returns what it counted."""


class ExportModel:
    """What an export does with the cores of one technology.

    As it stands, it serves every technology: a network is saved with all tensors of its cores, and loads where the
    chips have the same block size and the tensors the same shapes. A technology whose weights have a form of their own,
    follow an order, or have formats of their own, gives `chips.Technology` a subclass as the facet `export`.
    """

    form: ClassVar[tuple[str, ...]] = ("block_size",)
    """Names of the fields of a chip that decide what the weights on it are made of."""
    order_form: ClassVar[tuple[str, ...]] = ()
    """Names of the further fields that decide whether an order of one chip can be followed by another."""
    formats: ClassVar[Mapping[str, Format]] = {}
    """Formats by name that only networks with layers of this technology can be written in."""

    def order(self, core: TensorCore) -> dict[str, Tensor]:
        """The tensors by name that say in which order a core is written, where they are no part of its state."""
        return {}

    def follow(
        self, name: str, core: TensorCore, state: Mapping[str, Tensor], order: Mapping[str, Tensor]
    ) -> Callable[[], None]:
        """Check a saved order against a core, and return what makes the core follow it once its state is loaded.

        Args:
            name: Name of the layer, for errors.
            core: The core, which is left as it is.
            state: The saved state of the core, by names within the core.
            order: The saved order, as `order` gave it; empty where none was saved.

        Raises:
            RequestError: The order does not fit the core.
        """
        return lambda: None

    def state(self, core: TensorCore, mode: Mode) -> dict[str, Tensor]:
        """The tensors of the state that a core has in a mode; the core is left in its own.

        Args:
            core: The core.
            mode: One of its modes.
        """
        if core.mode == mode:
            return core.state_dict()
        switched = copy_of(core)
        switched.switch(mode)
        return switched.state_dict()


def export_model(chip: Chip) -> ExportModel:
    """What an export does with cores of a chip's technology.

    Raises:
        RequestError: Nobody has registered the technology, or what it names as its `export` cannot be loaded.
    """
    return technology_of(chip).load("export", ExportModel, ExportModel)()


def technology_formats() -> dict[str, Format]:
    """The formats of all technologies by name; of two with the same name the first stands, and the other is told of.

    Raises:
        RequestError: What a technology names as its `export` cannot be loaded.
    """
    formats: dict[str, Format] = {}
    for technology in TECHNOLOGIES.values():
        for name, form in technology.load("export", ExportModel, ExportModel).formats.items():
            if name in formats:
                _log.warning("Technology `%s` has a format `%s`, whose name is taken.", technology.name, name)
            formats.setdefault(name, form)
    return formats


def formats_of(model: nn.Module) -> set[str]:
    """Names of the formats of the technologies that layers of a model are on."""
    chips = {layer.chip for layer in optical_layers(model).values()}
    return {name for chip in chips for name in export_model(chip).formats}
