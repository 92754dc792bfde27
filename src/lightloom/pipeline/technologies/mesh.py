"""Meshes in a run: they are seen through an instrument alone, identified, corrected, and learn singular values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from lightloom import learn as learning
from lightloom.common.files import write_bytes
from lightloom.common.progress import follow
from lightloom.common.seeds import named_seed
from lightloom.data import Batch
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
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.learning import LearningPlan
from lightloom.pipeline.technologies.base import Rows, TechnologyStages


class MeshStages(TechnologyStages):
    """Meshes are seen through an instrument alone, identified, corrected, and learn their singular values."""

    trains_everything = False

    def programmed(self, run: RunContext, model: nn.Module) -> None:
        """Write what the first block of each layer is told and makes of it, for the report.

        Args:
            run: What the stages share.
            model: The network on its chip.
        """
        write_bytes(run.folder.file("phases.safetensors"), phase_maps(model))

    def calibrate(self, run: RunContext, model: nn.Module, targets: Mapping[str, Tensor]) -> Rows:
        """Identify every device of the specimen, and program the weights to the phases that it needs for them.

        Args:
            run: What the stages share.
            model: The network on its chip.
            targets: The matrix of each layer, as it was trained.
        """
        rows = []
        for number, bench in enumerate(_benches(run, model, "calibrate")):
            identified = _identify(run, bench, number)
            save_identified(identified, run.folder.file(f"twin-{number}.safetensors"))
            bench.store(*settings_for_targets(identified.twin, bench.targets(dict(targets))))
            rows.append(
                {
                    "calls": identified.calls,
                    "blocks": bench.instrument.blocks,
                    "readout_noise": identified.readout,
                    "phase_std": identified.phase_std,
                    "suspects": [suspect._asdict() for suspect in identified.suspects],
                    **_claim(identified, number),
                }
            )
        return rows

    def map_weights(self, run: RunContext, model: nn.Module, targets: Mapping[str, Tensor]) -> Rows:
        """Look at the programmed blocks a few times, fit each look with all measurements before, and correct.

        Args:
            run: What the stages share.
            model: The network on its chip.
            targets: The matrix of each layer, as it was trained.
        """
        rows = []
        for number, bench in enumerate(_benches(run, model, "map")):
            identified = load_identified(run.folder.file(f"twin-{number}.safetensors"), bench.instrument.chip)
            looks = run.config.bench.looks
            mapped = map_targets(bench.instrument, identified, bench.targets(dict(targets)), verify_calls=looks)
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

    def plan_learning(self, run: RunContext, model: nn.Module, plan: LearningPlan) -> LearningPlan:
        """Gradients are measured as far as the sampling says, and batches left out as it says.

        Args:
            run: What the stages share.
            model: The network on its chip.
            plan: What is trained so far, which technologies may change.
        """
        learning.attach(model, run.config.sampling)
        return plan._replace(sampler=_sampler(run))


def _sampler(run: RunContext) -> learning.BatchSampler:
    """Leave out the batches that the sampling of gradients leaves out."""
    sampling = run.config.sampling
    teacher = run.network("electronic") if sampling.information else None

    def sample(batches: Iterable[tuple[int, Batch]], epoch: int) -> Iterable[tuple[int, Batch]]:
        seed = named_seed(run.config.seed, "learn", "thin", epoch)
        return learning.sample_batches(batches, sampling, seed, teacher)

    return sample


def _claim(identified: Identified, number: int) -> dict[str, Any]:
    """Whether the figures of a chip hold, as far as it has shown itself."""
    repeated = identified.repeatability
    return {
        "repeatability": None if repeated is None else repeated.std,
        **claim(f"Chip {number}", float(identified.misfit.max()), identified.caveat),
    }


def _benches(run: RunContext, model: nn.Module, stage: str) -> list[InstrumentedMeshes]:
    """Each stage reads with noise of its own."""
    seed = named_seed(run.config.seed, stage)
    return instruments_for(model, InstrumentedMeshes, readout_std=run.config.bench.readout_std, seed=seed)


def _identify(run: RunContext, bench: InstrumentedMeshes, number: int) -> Identified:
    """Measure the chip until it is known; measurements of an attempt that failed are not made again."""
    settings, path = run.config.bench, run.folder.file("checkpoints") / f"calibrate-{number}.safetensors"
    measurements = Measurements.load(path) if path.exists() else Measurements()
    try:
        with follow("calibrate", settings.budget or 4 * bench.instrument.size + 256) as report:
            return identify(
                bench.instrument,
                accuracy=settings.accuracy,
                budget=settings.budget,
                seed=run.config.seed,
                measurements=measurements,
                report=report,
            )
    finally:
        if len(measurements):  # an instrument that fails half-way costs nothing that was measured
            measurements.save(path)


def phase_maps(model: nn.Module) -> bytes:
    """What the first block of each layer on meshes is told and makes of it, as a safetensors file.

    Layers with another size, layout or field than the first one are left out.
    """
    meshes = cores(model, MeshCore)
    chip = next(iter(meshes.values())).chip
    maps: dict[str, Tensor] = {}
    for name, core in meshes.items():
        if (core.chip.block_size, core.chip.layout, core.chip.field) != (chip.block_size, chip.layout, chip.field):
            continue
        state = core.state()
        for side in ("u", "v"):
            with torch.no_grad():
                realised = core.realised_phases(side)[0, 0, 0]
            maps[f"{name}/{side}/commanded"] = state[f"{side}_phases"][0, 0, 0].contiguous()
            maps[f"{name}/{side}/realised"] = realised.contiguous()
        maps[f"{name}/sigma"] = state["sigma"][0, 0, 0].contiguous()
        maps[f"{name}/gain"] = state["gain"][0, 0, :1].contiguous()
    notes = {"size": str(chip.block_size), "layout": chip.layout, "field": chip.field}
    return save(dict(sorted(maps.items())), metadata=notes)
