"""The table of technologies: built-in ones, and those that other packages bring by an entry point."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from lightloom.chips.base import Chip
from lightloom.chips.mesh.technology import MESH
from lightloom.chips.pcm.technology import PCM
from lightloom.chips.technology import Technology
from lightloom.common.errors import RequestError
from lightloom.common.plugins import PlugInTable

_BEFORE_THERE_WAS_ANOTHER = MESH.name


def _check(record: Technology, others: Mapping[str, Technology]) -> None:
    """Refuse a technology that could not be told from those that are there."""
    if not (isinstance(record.chip, type) and issubclass(record.chip, Chip)):
        raise ValueError(f"its chip is {record.chip!r}, no subclass of `chips.Chip`")
    default = record.chip.model_fields["technology"].default
    if default != record.name:
        raise ValueError(
            f"its chip says `technology={default!r}`; write `technology: Literal[{record.name!r}] = {record.name!r}`"
        )
    for name, chip in record.presets.items():
        if not isinstance(chip, record.chip):
            raise ValueError(f"its preset `{name}` is no `{record.chip.__name__}`")
        owner = next((other.name for other in others.values() if name in other.presets), None)
        if owner is not None:
            raise ValueError(f"its preset `{name}` has the name of one of `{owner}`; choose another name")


TECHNOLOGIES = PlugInTable("lightloom.technologies", "technology", Technology, lambda: (MESH, PCM), _check)
"""Technologies by name; those of plug-ins join when it is first looked into."""


def technology_of(chip: Chip) -> Technology:
    """The record of the technology that a chip is of.

    Raises:
        RequestError: Nobody has registered that technology.
    """
    if chip.technology not in TECHNOLOGIES:
        raise RequestError(
            f"`{chip.name}` is a {chip.technology} chip, and no such technology is registered; let its package name "
            f"its `Technology` as an entry point of `{TECHNOLOGIES.group}`. {_refusals()}".rstrip()
        )
    return TECHNOLOGIES[chip.technology]


def _refusals() -> str:
    return " ".join(f"The plug-in `{name}` was left out: {why}." for name, why in TECHNOLOGIES.refused.items())


def labels(chips: Iterable[Chip]) -> dict[Chip, str]:
    """Each different chip, by its name; one whose name is used by another has a number behind it."""
    labelled: dict[Chip, str] = {}
    for chip in chips:
        if chip in labelled:
            continue
        used = set(labelled.values())
        numbered = (f"{chip.name} ({number})" for number in count(2))
        labelled[chip] = next(label for label in chain([chip.name], numbered) if label not in used)
    return labelled


def _read(value: Any) -> Any:
    """Build the chip whose technology is named, so that an error speaks of that chip alone."""
    if isinstance(value, Chip):
        return value
    if not isinstance(value, Mapping):
        raise ValueError("a chip is the name of a preset, or a group of fields")
    name = value.get("technology", _BEFORE_THERE_WAS_ANOTHER)
    try:
        technology = TECHNOLOGIES.find(name)
    except RequestError as error:
        text = f"{str(error)[0].lower()}{str(error)[1:]}"  # it stands behind the name of the field
        problem = InitErrorDetails(
            type=PydanticCustomError("technology", "{text}", {"text": text}), loc=("technology",), input=name
        )
        raise ValidationError.from_exception_data("chip", [problem]) from None
    return technology.chip.model_validate(value)


AnyChip = Annotated[SerializeAsAny[Chip], BeforeValidator(_read)]
"""A field of a config that takes any chip; fields without `technology` are those of a mesh chip."""
