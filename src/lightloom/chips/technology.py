"""Any chip, whatever its tensor cores are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain, count
from typing import Annotated, Any

from pydantic import BeforeValidator, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from lightloom.chips.mesh import MeshChip
from lightloom.chips.pcm import PCMChip
from lightloom.common.errors import nearest

Chip = MeshChip | PCMChip
"""Hardware of any technology; works with `isinstance`."""

TECHNOLOGIES: dict[str, type[MeshChip] | type[PCMChip]] = {"mesh": MeshChip, "pcm": PCMChip}


def labels(chips: Iterable[Chip]) -> dict[Chip, str]:
    """Each different chip, by its name; one whose name is taken by another has a number behind it."""
    found: dict[Chip, str] = {}
    for chip in chips:
        if chip in found:
            continue
        taken = set(found.values())
        numbered = (f"{chip.name} ({number})" for number in count(2))
        found[chip] = next(label for label in chain([chip.name], numbered) if label not in taken)
    return found


def _read(given: Any) -> Any:
    """Build the chip whose technology is named, so that an error speaks of that chip alone."""
    if isinstance(given, Chip):
        return given
    if not isinstance(given, Mapping):
        raise ValueError("a chip is the name of a preset, or a group of fields")
    technology = given.get("technology", "mesh")  # written before there was another
    if technology not in TECHNOLOGIES:
        text = f"there is no technology `{technology}`. {nearest(str(technology), TECHNOLOGIES)}"
        problem = InitErrorDetails(
            type=PydanticCustomError("technology", "{text}", {"text": text}), loc=("technology",), input=technology
        )
        raise ValidationError.from_exception_data("chip", [problem])
    return TECHNOLOGIES[technology].model_validate(given)


AnyChip = Annotated[Chip, BeforeValidator(_read)]
"""A field of a `Section` that takes any chip; fields without `technology` are those of a mesh chip."""
