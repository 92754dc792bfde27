"""The stages that put a chip on the bench: calibrate and map, whatever its layers are made of."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lightloom.common.files import write_json
from lightloom.common.records import read_record
from lightloom.nn import optical_layers
from lightloom.pipeline.context import Work, note_errors
from lightloom.pipeline.technologies import mesh as mesh_stages
from lightloom.pipeline.technologies import pcm as pcm_stages
from lightloom.stage_records import BenchState, LayerRow


def calibrate(work: Work) -> None:
    """Measure what every device of the specimen does, and program what can be known of it."""
    model = work.network("programmed")
    wanted = _wanted(model)
    rows = [*mesh_stages.calibrate(work, model, wanted), *pcm_stages.calibrate(work, model)]
    _leave(work, model, "calibrated", rows)


def map_weights(work: Work) -> None:
    """Look at what was programmed and correct it; give weights the cells that can hold them."""
    model = work.network("calibrated")
    wanted = _wanted(work.network("programmed"))
    rows = [*mesh_stages.map_weights(work, model, wanted), *pcm_stages.map_weights(work, model)]
    _leave(work, model, "mapped", rows)


def _wanted(programmed: nn.Module) -> dict[str, Tensor]:
    """The weights that the programmed settings would make on perfect devices."""
    return {name: layer.core.ideal_weight().detach() for name, layer in optical_layers(programmed).items()}


def _leave(work: Work, model: nn.Module, state: str, rows: list[dict[str, Any]]) -> None:
    """Write the network, what it took, and how far each layer is from its weights."""
    file = work.folder.file
    layers = read_record(file("layers.json"), list[LayerRow])
    note_errors(layers, model, work.trained(), state)
    write_json(file("layers.json"), layers)
    taken = read_record(file("bench.json"), dict[str, BenchState], {})
    taken[state] = {"calls": sum(row["calls"] for row in rows), "instruments": rows}
    write_json(file("bench.json"), taken)
    work.leave(model, state)
