"""Named chips with tensor cores, of every technology."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from lightloom.chips.absorber import ABSORBERS
from lightloom.chips.base import Chip
from lightloom.chips.diffractive import DIFFRACTIVE
from lightloom.chips.technologies import TECHNOLOGIES
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError, nearest
from lightloom.common.presets import Presets


def _all() -> Mapping[str, Chip]:
    return {name: chip for technology in TECHNOLOGIES.values() for name, chip in technology.presets.items()}


PRESETS: Presets[Chip] = Presets("chip", _all)
"""Chips by name, those of plug-ins among them."""

_Kind = TypeVar("_Kind", bound=Chip)


@overload
def preset(name: str) -> Chip: ...


@overload
def preset(name: str, kind: type[_Kind]) -> _Kind: ...


@checked
def preset(name: str, kind: type[Any] | None = None) -> Chip:
    """The chip of this name.

    Args:
        name: One of `PRESETS`.
        kind: Where only chips of this class will do.

    Raises:
        RequestError: There is none, and the nearest known name is given; or it is of another technology.
    """
    fitting = {key: chip for key, chip in PRESETS.items() if kind is None or isinstance(chip, kind)}
    if name in fitting:
        return fitting[name]
    names = ", ".join(f"`{key}`" for key in fitting)
    if name in PRESETS:
        raise RequestError(f"`{name}` is a {PRESETS[name].technology} chip, which this does not take. Known: {names}.")
    for what, table, call in (
        ("an absorber", ABSORBERS, "absorber"),
        ("diffractive hardware", DIFFRACTIVE, "diffractive"),
    ):
        if name in table:
            raise RequestError(
                f"`{name}` is {what}, which has no tensor cores; it comes from `chips.{call}('{name}')`. Chips with "
                f"tensor cores: {names}."
            )
    refused = "".join(f" The plug-in `{name}` was left out: {why}." for name, why in TECHNOLOGIES.refused.items())
    raise RequestError(f"There is no chip `{name}`. {nearest(name, fitting)}{refused}")
