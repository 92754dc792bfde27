"""Claim: on a chip that was identified, targets are mapped directly, to below the error of plain rounding."""

from __future__ import annotations

import time
from typing import Any

import torch

from lightloom.bench.mesh.calibrate import true_twin
from lightloom.chips import MeshChip, preset
from lightloom.common.seeds import named_generator
from lightloom.lab.mesh.identify import identify
from lightloom.lab.mesh.in_situ_mapping import map_targets
from lightloom.lab.mesh.instrument import specimen_instrument


def map(
    *, seed: int = 0, blocks: int = 64, readout_std: float = 0.0, size: int = 9, looks: int = 2, chip: str = "l2ight"
) -> dict[str, Any]:
    """Identify a specimen, map random targets, and compare what its true devices make of the settings.

    Args:
        seed: Of the specimen, the readout noise, the random settings and the targets.
        blocks: Blocks mapped side by side.
        readout_std: Readout noise, relative to full scale.
        size: Waveguides k.
        looks: Calls spent on the mapped blocks.
        chip: Preset.

    Returns:
        `calls` of calibration and mapping together, `distance` (mean of ||realised - target||^2 / ||target||^2) with
        its median and maximum, `seconds`.
    """
    design = preset(chip, MeshChip).replace(block_size=size)
    instrument = specimen_instrument(design, blocks, specimen=seed, readout_std=readout_std, seed=seed)
    generator = named_generator(seed, "bench", "targets")
    targets = torch.randn(blocks, size, size, generator=generator, dtype=torch.float64)
    started = time.perf_counter()
    identified = identify(instrument, seed=seed)
    mapped = map_targets(instrument, identified, targets, verify_calls=looks)
    seconds = time.perf_counter() - started
    realised = mapped.gain.view(-1, 1, 1) * true_twin(design, blocks, seed).matrices(mapped.settings)
    distance = (realised - targets).square().sum((-2, -1)) / targets.square().sum((-2, -1))
    return {
        "calls": instrument.calls,
        "calibration_calls": identified.calls,
        "distance": float(distance.mean()),
        "distance_median": float(distance.median()),
        "distance_max": float(distance.max()),
        "seconds": round(seconds, 2),
        "chip": chip,
        "block_size": size,
        "blocks": blocks,
        "readout_std": readout_std,
        "threads": torch.get_num_threads(),
    }
