"""The stage that measures what every device of the specimen does."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lightloom.nn import optical_layers
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.stages.program import note_errors
from lightloom.pipeline.technologies.base import technologies_in
from lightloom.schemas import BenchStage, LayerRow, read, write, write_plain


def calibrate(run: RunContext) -> None:
    """Measure the devices of every technology of the network, and program what can be known of them."""
    model = run.network("programmed")
    targets = ideal_weights(model)
    rows = [row for technology in technologies_in(model) for row in technology.calibrate(run, model, targets)]
    save_measured(run, model, "calibrated", rows)


def ideal_weights(programmed: nn.Module) -> dict[str, Tensor]:
    """The weights that the programmed settings would make on perfect devices, by the names of the layers."""
    return {name: layer.core.ideal_weight().detach() for name, layer in optical_layers(programmed).items()}


def save_measured(run: RunContext, model: nn.Module, state: str, rows: list[dict[str, Any]]) -> None:
    """Write the network, what it took of the instruments, and how far each layer is from its weights.

    Args:
        run: The run.
        model: As the stage leaves it.
        state: That it leaves.
        rows: What each instrument took.
    """
    file = run.folder.file
    layers = [row.plain() for row in read(file("layers.json"), list[LayerRow], strict=True)]
    note_errors(layers, model, run.trained(), state)
    write_plain(file("layers.json"), list[LayerRow], layers)
    bench = read(file("bench.json"), dict[str, BenchStage], {}, strict=True)
    measured = BenchStage(calls=sum(row["calls"] for row in rows), instruments=rows)
    write(file("bench.json"), {**bench, state: measured})
    run.save_state(model, state)
