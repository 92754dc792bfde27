"""The stage that corrects what was programmed by what the chip shows."""

from __future__ import annotations

from lightloom.pipeline.context import RunContext
from lightloom.pipeline.stages.calibrate import ideal_weights, save_measured
from lightloom.pipeline.technologies.base import technologies_in


def map_weights(run: RunContext) -> None:
    """Look at what was programmed and correct it; give weights the devices that can hold them."""
    model = run.network("calibrated")
    targets = ideal_weights(run.network("programmed"))
    rows = [row for technology in technologies_in(model) for row in technology.map_weights(run, model, targets)]
    save_measured(run, model, "mapped", rows)
