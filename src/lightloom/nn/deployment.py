"""From an electronic model to one that a manufactured chip computes, in one step."""

from __future__ import annotations

from typing import Any

from torch import nn

from lightloom.chips import Chip, Specimen
from lightloom.common.errors import RequestError
from lightloom.nn.convert import Conversion, convert
from lightloom.nn.converter import calibrate_ranges, static_converters
from lightloom.nn.install import install
from lightloom.nn.layers import optical_layers
from lightloom.nn.rules import Placement, Rules


def put_on_chip(
    model: nn.Module,
    chip: Chip | str,
    specimen: Specimen | int | None,
    *,
    only: Rules = None,
    skip: Rules = None,
    places: Placement = (),
    samples: Any = None,
    inplace: bool = False,
) -> Conversion:
    """Convert a model and install a manufactured chip, whose hidden errors nobody knows.

    Args:
        model: Electronic.
        chip: The hardware, or the name of a preset.
        specimen: Which manufactured chip, see `install`.
        only: Rules that choose the layers to convert, see `convert`.
        skip: Rules that keep layers electronic.
        places: Other places than `chip`, by rule.
        samples: Inputs of the model that static full scales of converters are measured on, before the chip's errors
            spoil them; None measures nothing, as where trained weights, which bring their scales, follow.
        inplace: Change `model` itself instead of a copy.

    Raises:
        RequestError: No layer goes on a chip, or as `convert` and `install` say.
    """
    conversion = convert(model, chip, only=only, skip=skip, places=places, inplace=inplace)
    if not optical_layers(conversion.model):
        reasons = "; ".join(sorted({layer.reason for layer in conversion.layers}))
        raise RequestError(
            f"No layer of the network goes on a chip ({reasons}). Name fewer in `electronic`, or give `places` a chip."
        )
    if samples is not None and static_converters(conversion.model):
        calibrate_ranges(conversion.model, [samples])
    install(conversion.model, specimen)
    return conversion
