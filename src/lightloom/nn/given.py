"""What callers hand over where a network is wanted, or the specimen that its cores are to be made of."""

from __future__ import annotations

from torch import nn

from lightloom.chips import Chip, Specimen
from lightloom.chips.given import differences
from lightloom.common.checks import shown
from lightloom.common.errors import RequestError

_SHOWN = 3  # differences that a message names


def require_network(model: object, argument: str = "model") -> None:
    """Refuse what is no network.

    Args:
        model: What the caller handed over.
        argument: Its name, for the message.

    Raises:
        RequestError: It is no `torch.nn.Module`; what to give is said.
    """
    if isinstance(model, nn.Module):
        return
    inner = getattr(model, "model", None)
    if isinstance(model, type) and issubclass(model, nn.Module):
        mend = f"give a network of this class, `{model.__name__}(...)`"
    elif isinstance(inner, nn.Module) and not isinstance(model, type):
        mend = "give the network in it, `.model`"
    else:
        mend = "give a `torch.nn.Module`"
    raise RequestError(f"`{argument}` is {shown(model)}; {mend}.")


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
    told = [f"`{name}` {other!r} instead of {own!r}" for name, (own, other) in list(apart.items())[:_SHOWN]]
    more = [f"{len(apart) - _SHOWN} more"] if len(apart) > _SHOWN else []
    raise RequestError(
        f"The specimen is one of `{specimen.chip.name}`, and core `{core}` is on `{chip.name}`, which is other "
        f"hardware: {', '.join(told + more)}. Install a specimen of the core's own chip, `core.chip.specimen(seed)`; "
        "`nn.install(model, seed)` takes that of each layer's chip. Or convert the model to the chip that the specimen "
        "is of."
    )
