"""Meshes on the bench: they are seen through an instrument alone, identified, and corrected."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lightloom.common.progress import follow
from lightloom.common.seeds import named_seed
from lightloom.lab.claims import claim
from lightloom.lab.mesh.identify import Identified, Records, identify, load_known, save_known, to_targets
from lightloom.lab.mesh.in_situ_mapping import map_targets
from lightloom.lab.network import Rack, racks
from lightloom.nn import MeshCore, cores
from lightloom.pipeline.context import Work


def calibrate(work: Work, model: nn.Module, wanted: dict[str, Tensor]) -> list[dict[str, Any]]:
    """Identify every device of the specimen, and program the weights to the phases that it needs for them."""
    rows = []
    for number, rack in enumerate(_racks(work, model, "calibrate")):
        known = _identify(work, rack, number)
        save_known(known, work.folder.file(f"twin-{number}.safetensors"))
        rack.store(*to_targets(known.twin, rack.targets(wanted)))
        rows.append(
            {
                "calls": known.calls,
                "blocks": rack.instrument.blocks,
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
    for number, rack in enumerate(_racks(work, model, "map")):
        known = load_known(work.folder.file(f"twin-{number}.safetensors"), rack.instrument.chip)
        mapped = map_targets(rack.instrument, known, rack.targets(wanted), looks=work.config.bench.looks)
        rack.store(mapped.settings, mapped.gain)
        rows.append(
            {
                "calls": mapped.calls,
                "blocks": rack.instrument.blocks,
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


def _racks(work: Work, model: nn.Module, stage: str) -> list[Rack]:
    """Each stage reads with noise of its own."""
    if not cores(model, MeshCore):
        return []
    return racks(model, readout_std=work.config.bench.readout_std, seed=named_seed(work.config.seed, stage))


def _identify(work: Work, rack: Rack, number: int) -> Identified:
    """Measure the chip until it is known; measurements of an attempt that failed are not made again."""
    bench, path = work.config.bench, work.folder.file("checkpoints") / f"calibrate-{number}.safetensors"
    records = Records.load(path) if path.exists() else Records()
    try:
        with follow("calibrate", bench.budget or 4 * rack.instrument.size + 256) as report:
            return identify(
                rack.instrument,
                accuracy=bench.accuracy,
                budget=bench.budget,
                seed=work.config.seed,
                records=records,
                report=report,
            )
    finally:
        if len(records):  # an instrument that fails half-way costs nothing that was measured
            records.save(path)
