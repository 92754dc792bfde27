"""Diffractive hardware as it was put together: masks that do not stand where they should."""

from __future__ import annotations

from torch import nn

from lightloom.common.arguments import checked
from lightloom.nn.diffractive.conv import DiffractiveConv2d
from lightloom.nn.diffractive.network import DiffractiveNetwork


@checked
def misalign(model: nn.Module, seed: int) -> None:
    """Put the masks of every diffractive part of a model where those of one manufactured chip stand.

    Args:
        model: Changed in place; its parameters are not.
        seed: Which chip came off the line. Each part has errors of its own, as large as its chip says.
    """
    for name, part in model.named_modules():
        if isinstance(part, DiffractiveConv2d | DiffractiveNetwork) and part.chip.misalignment_std:
            part.align(part.chip.offsets(seed, name))
