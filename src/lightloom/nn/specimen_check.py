"""What callers hand over where the specimen is wanted that a core is to be made of."""

from __future__ import annotations

from lightloom.chips import Chip, Specimen
from lightloom.chips.arguments import differences
from lightloom.common.checks import shown
from lightloom.common.errors import RequestError

_SHOWN = 3  # differences that a message names


def require_specimen(specimen: object, chip: Chip, core: str) -> None:
    """Refuse what is no specimen of the chip that a core is on.

    Args:
        specimen: What the caller handed over.
        chip: The hardware of the core.
        core: Its name.

    Raises:
        RequestError: It is none, or one of other hardware; the fields that differ are named with both values.
    """
    if not isinstance(specimen, Specimen):
        raise RequestError(
            f"`specimen` is {shown(specimen)}; give `chip.specimen(seed)` of the chip of core `{core}`, "
            f"`{chip.name}`, or None for one without hidden errors."
        )
    apart = differences(chip, specimen.chip)
    if not apart:
        return
    fields = list(apart.items())[:_SHOWN]
    changes = [f"`{name}` {other!r} instead of {own!r}" for name, (own, other) in fields]
    more = [f"{len(apart) - _SHOWN} more"] if len(apart) > _SHOWN else []
    raise RequestError(
        f"The specimen is one of `{specimen.chip.name}`, and core `{core}` is on `{chip.name}`, which is other "
        f"hardware: {', '.join(changes + more)}. Install a specimen of the core's own chip, `core.chip.specimen(seed)`;"
        " `nn.install(model, seed)` takes that of each layer's chip. Or convert the model to the chip that the "
        "specimen is of."
    )
