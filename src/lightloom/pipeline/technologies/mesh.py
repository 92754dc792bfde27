"""Meshes on the bench: they are seen through an instrument alone, identified, and corrected."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lightloom.common.progress import follow
from lightloom.common.seeds import named_seed
from lightloom.lab.claims import claim
from lightloom.lab.instrumented import instruments_for
from lightloom.lab.mesh.identify import (
    Identified,
    Measurements,
    identify,
    load_identified,
    save_identified,
    settings_for_targets,
)
from lightloom.lab.mesh.in_situ_mapping import map_targets
from lightloom.lab.mesh.network import InstrumentedMeshes
from lightloom.nn import MeshCore, cores
from lightloom.pipeline.context import Work


def calibrate(work: Work, model: nn.Module, wanted: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Identify every device of the specimen, and program the weights to the phases that it needs for them."""
    rows = []
    for number, bench in enumerate(_benches(work, model, "calibrate")):
        known = _identify(work, bench, number)
        save_identified(known, work.folder.file(f"twin-{number}.safetensors"))
        bench.store(*settings_for_targets(known.twin, bench.targets(wanted)))
        rows.append(
            {
                "calls": known.calls,
                "blocks": bench.instrument.blocks,
                "readout_noise": known.readout,
                "phase_std": known.phase_std,
                "suspects": [suspect._asdict() for suspect in known.suspects],
                **_claim(known, number),
            }
        )
    return rows


def map_weights(work: Work, model: nn.Module, wanted: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Look at the programmed blocks a few times, fit each look with all measurements before, and correct."""
    rows = []
    for number, bench in enumerate(_benches(work, model, "map")):
        known = load_identified(work.folder.file(f"twin-{number}.safetensors"), bench.instrument.chip)
        mapped = map_targets(bench.instrument, known, bench.targets(wanted), verify_calls=work.config.bench.looks)
        bench.store(mapped.settings, mapped.gain)
        rows.append(
            {
                "calls": mapped.calls,
                "blocks": bench.instrument.blocks,
                "expected_distance": float(mapped.distance.mean()),
                **_claim(mapped.known, number),
            }
        )
    return rows


def _claim(known: Identified, number: int) -> dict[str, Any]:
    """Whether the figures of a chip hold, as far as it has shown itself."""
    repeated = known.repeatability
    return {
        "repeatability": None if repeated is None else repeated.std,
        **claim(f"Chip {number}", float(known.misfit.max()), known.caveat),
    }


def _benches(work: Work, model: nn.Module, stage: str) -> list[InstrumentedMeshes]:
    """Each stage reads with noise of its own."""
    if not cores(model, MeshCore):
        return []
    seed = named_seed(work.config.seed, stage)
    return instruments_for(model, InstrumentedMeshes, readout_std=work.config.bench.readout_std, seed=seed)


def _identify(work: Work, bench: InstrumentedMeshes, number: int) -> Identified:
    """Measure the chip until it is known; measurements of an attempt that failed are not made again."""
    settings, path = work.config.bench, work.folder.file("checkpoints") / f"calibrate-{number}.safetensors"
    measurements = Measurements.load(path) if path.exists() else Measurements()
    try:
        with follow("calibrate", settings.budget or 4 * bench.instrument.size + 256) as report:
            return identify(
                bench.instrument,
                accuracy=settings.accuracy,
                budget=settings.budget,
                seed=work.config.seed,
                measurements=measurements,
                report=report,
            )
    finally:
        if len(measurements):  # an instrument that fails half-way costs nothing that was measured
            measurements.save(path)
