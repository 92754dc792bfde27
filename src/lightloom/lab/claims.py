"""Figures that were found on a bench are told together with what speaks against them."""

from __future__ import annotations

import logging
import math
from typing import Any

_LOG = logging.getLogger("lightloom")


def claim(who: str, misfit: float | None, caveat: str | None) -> dict[str, Any]:
    """The record of a claim in a stage; a claim that does not hold is logged as a warning too.

    Args:
        who: The instrument or layer that is spoken of.
        misfit: What a fit leaves over what noise explains; None where that is unknown.
        caveat: Why the figures do not hold; None where nothing speaks against them.
    """
    if caveat is not None:
        _LOG.warning("%s: %s", who, caveat)
    measured = misfit is not None and math.isfinite(misfit)
    return {"misfit": misfit if measured else None, "claim_holds": caveat is None, "caveat": caveat or ""}
