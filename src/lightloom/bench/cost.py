"""Claim: what a large network would cost on a chip is known in the time of a breath, without programming anything."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from lightloom.chips import Chip, preset
from lightloom.cost import System, estimate
from lightloom.nn.backbones.checkpoints import transformers


def cost(*, seed: int = 0, chip: str = "noems", cores: int | None = None, rounds: int = 3) -> dict[str, Any]:
    """Time to cost ResNet-50 and ViT-B/16 for one image of 224 x 224, after import, with weights in memory.

    Args:
        seed: Of the weights; costs of a plan do not depend on them.
        chip: Preset that all layers would go on.
        cores: Of the chip; None is as many as each network needs.
        rounds: Times that each is costed, of which the median and the first, cold one are given.

    Raises:
        RequestError: There is no such chip, or `transformers` is not there.
    """
    torch.manual_seed(seed)
    hardware, system = preset(chip), System(cores=cores)
    results = {name: _measure(build(), hardware, system, rounds) for name, build in _networks().items()}
    return {
        **results,
        "seconds": max(row["seconds"] for row in results.values()),
        "first_seconds": max(row["first_seconds"] for row in results.values()),
        "chip": chip,
        "cores": cores,
        "schedule": system.schedule,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _networks() -> dict[str, Callable[[], nn.Module]]:
    library = transformers()
    return {
        "resnet-50": lambda: library.ResNetForImageClassification(library.ResNetConfig()),
        "vit-b": lambda: library.ViTForImageClassification(library.ViTConfig()),
    }


def _measure(model: nn.Module, chip: Chip, system: System, rounds: int) -> dict[str, Any]:
    image, seconds, bills = torch.zeros(1, 3, 224, 224), [], []
    for _ in range(max(1, rounds)):
        started = time.perf_counter()
        bills.append(estimate(model, image, chip=chip, system=system))
        seconds.append(time.perf_counter() - started)
    bill = bills[-1]
    return {
        "seconds": round(statistics.median(seconds), 3),
        "first_seconds": round(seconds[0], 3),
        "layers": len(bill.layers),
        "macs": bill.counts["macs"] + bill.electronics["macs"],
        "parameters": bill.counts["parameters"],
        "cores": bill.counts["cores"],
        "boundary": bill.boundary,
        "energy_j": bill.total.energy_j,
        "latency_s": bill.total.latency_s,
        "area_m2": bill.area_m2,
    }
