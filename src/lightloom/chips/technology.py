"""A technology of tensor cores: the record that joins its chip with what the floors above know of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Literal, TypeVar, get_args

from lightloom.chips.base import Chip
from lightloom.common.errors import RequestError

Facet = Literal["core", "cost", "bench", "export", "stages"]
"""What a technology may implement for the floors above the chips."""

_Kind = TypeVar("_Kind")


@dataclass(frozen=True, eq=False)
class Technology:
    """What a kind of tensor core is, on every floor of the house.

    The chip stands here as a class. What floors above implement stands as a name, `"package.module:attribute"`, so that
    a list of chips loads no network; each floor loads its own facet by `load`.

    Args:
        name: What configs call it, the default of its chip's field `technology`.
        chip: Class of its chips.
        presets: Named chips, each with its sources; the first is the usual one.
        core: Subclass of `nn.TensorCore`, which holds a weight matrix.
        cost: Subclass of `cost.CostModel`, which prices a core; without it the generic model does.
        bench: What its laboratory does: instruments, calibration, mapping.
        export: What an export says of its cores.
        stages: What the stages of a run mean on it.
    """

    name: str
    chip: type[Chip]
    presets: Mapping[str, Chip] = field(default_factory=dict)
    core: str = ""
    cost: str = ""
    bench: str = ""
    export: str = ""
    stages: str = ""

    def load(self, facet: Facet, kind: type[_Kind], default: type[_Kind] | None = None) -> type[_Kind]:
        """The class that implements one facet of the technology.

        Args:
            facet: Name of the facet.
            kind: The class that an implementation has to be a subclass of.
            default: What stands in where the technology names none; None refuses then.

        Raises:
            RequestError: The technology names none and there is no default, the name leads nowhere, or what it leads to
                is no such class.
        """
        place: str = getattr(self, facet)
        if not place:
            if default is not None:
                return default
            names = ", ".join(f"`{name}`" for name in get_args(Facet) if getattr(self, name)) or "none"
            raise RequestError(
                f"The technology `{self.name}` has no `{facet}`, which this takes; it names {names}. Give its "
                f"`Technology` a subclass of `{kind.__name__}`: `{facet}='package.module:Class'`."
            )
        module, _, attribute = place.partition(":")
        try:
            implementation = getattr(import_module(module), attribute)
        except (ImportError, AttributeError, ValueError) as error:
            raise RequestError(
                f"The technology `{self.name}` names `{place}` as its `{facet}`, which cannot be loaded: {error}. Name "
                "it as `package.module:Class`."
            ) from error
        if not (isinstance(implementation, type) and issubclass(implementation, kind)):
            raise RequestError(
                f"The technology `{self.name}` names `{place}` as its `{facet}`, which is no subclass of "
                f"`{kind.__module__}.{kind.__name__}`."
            )
        return implementation
