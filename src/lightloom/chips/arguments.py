"""What callers hand over where the hardware of tensor cores is wanted: a chip, or the name of a preset."""

from __future__ import annotations

from typing import TypeVar

from lightloom.chips.base import Chip
from lightloom.chips.presets import PRESETS, preset
from lightloom.common.checks import shown
from lightloom.common.errors import RequestError

_COST_ONLY = frozenset({"name", "devices"})
"""Fields of a chip that change neither what it computes nor which errors its specimens have."""


_Kind = TypeVar("_Kind", bound=Chip)


def chip_of(value: object, kind: type[_Kind], argument: str = "chip") -> _Kind:
    """The chip of one technology that a caller means; a preset's name stands for the preset.

    Args:
        value: What the caller handed over.
        kind: Class of the chips that are taken.
        argument: Its name, for the message.

    Raises:
        RequestError: It is no chip, or one of another technology.
    """
    chip = core_chip(value, argument)
    if isinstance(chip, kind):
        return chip
    technology = kind.model_fields["technology"].default
    names = ", ".join(f"`{name}`" for name, preset in PRESETS.items() if isinstance(preset, kind))
    raise RequestError(
        f"`{argument}` is `{chip.name}`, a {chip.technology} chip; give a {technology} chip, such as {names}."
    )


def core_chip(value: object, argument: str = "chip") -> Chip:
    """The chip that tensor cores are to be made of; a preset's name stands for the preset.

    Args:
        value: What the caller handed over.
        argument: Its name, for the message.

    Raises:
        RequestError: It is no such chip. Other hardware is told what it is for, a typo the nearest name.
    """
    if isinstance(value, Chip):
        return value
    if isinstance(value, str):
        return preset(value)
    raise RequestError(
        f"`{argument}` is {shown(value)}; give a chip with tensor cores, such as `chips.preset('l2ight')`, or the name "
        "of a preset."
    )


def differences(one: Chip, other: Chip) -> dict[str, tuple[object, object]]:
    """The fields in which two chips differ as hardware, with both values; names and constants of the cost left out.

    Chips of two technologies differ in `technology`.

    Args:
        one: A chip, whose values come first.
        other: Another one.
    """
    if type(one) is not type(other):
        return {"technology": (one.technology, other.technology)}
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in type(one).model_fields}
    return {name: pair for name, pair in pairs.items() if name not in _COST_ONLY and pair[0] != pair[1]}
