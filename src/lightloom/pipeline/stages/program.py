"""The stage that puts the trained network on a manufactured chip."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.nn import optical_layers
from lightloom.nn.matrix_form import matrix_of
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.technologies.base import technologies_in
from lightloom.schemas import LayerRow, write_plain

RANGE_SAMPLES = 512
"""Training samples that static ranges of converters are measured on."""


def program(run: RunContext) -> None:
    """Convert the trained network and program it onto a manufactured chip, whose errors nobody knows."""
    train = run.chip_data.train
    static = any(chip.range == "static" for chip in run.config.chips)
    samples = train.inputs[torch.arange(min(RANGE_SAMPLES, len(train)))] if static else None
    conversion = run.put_on_chip(run.trained(), samples)
    rows = [layer.as_dict() for layer in conversion.layers]
    note_errors(rows, conversion.model, run.trained(), "programmed")
    write_plain(run.folder.file("layers.json"), list[LayerRow], rows)
    for technology in technologies_in(conversion.model):
        technology.programmed(run, conversion.model)
    run.save_state(conversion.model, "programmed")


def note_errors(rows: list[dict[str, Any]], model: nn.Module, trained: nn.Module, state: str) -> None:
    """Add to the report of each layer how far it is, on the real devices, from the weight that was trained.

    Args:
        rows: Of `layers.json`; changed in place.
        model: On the chip.
        trained: The same network before it was put there.
        state: Name of the state of the network.

    Raises:
        RequestError: A layer is on the chip that the rows do not list.
    """
    by_name = {row["name"]: row for row in rows}
    for name, layer in optical_layers(model).items():
        if name not in by_name:
            raise RequestError(f"`layers.json` has no layer `{name}`, which is on the chip; do `program` again.")
        by_name[name]["errors"][state] = layer.core.error(matrix_of(trained.get_submodule(name)).detach())
