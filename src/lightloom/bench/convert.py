"""Claim: a network of a hundred million weights is converted, and exactly programmed, within seconds."""

from __future__ import annotations

import math
import time
from typing import Any

import torch
from torch import nn

from lightloom.bench.kernels import ask_for_kernels
from lightloom.chips import preset
from lightloom.nn import Conversion, TensorCore, cores
from lightloom.nn import convert as put_on
from lightloom.nn.backbones.checkpoints import transformers
from lightloom.physics import compiled
from lightloom.physics.blocks.singular import svd

_PLAIN = 20_000  # blocks that torch takes apart to compare with


def convert(*, seed: int = 0, chip: str = "thermo-optic", size: int = 8) -> dict[str, Any]:
    """Time to convert ViT-B/16 with every block of every matrix layer taken apart exactly.

    Args:
        seed: Of the weights.
        chip: Preset of meshes.
        size: Waveguides k of a block.

    Returns:
        `seconds`, `blocks`, `error` (the largest over layers of the relative squared error on perfect devices), and
        `svd_speedup`: singular value decompositions by torch over those here, on some of the blocks.

    Raises:
        RequestError: There is no such chip, or `transformers` is not there.
    """
    note = ask_for_kernels()
    torch.manual_seed(seed)
    library = transformers()
    model: nn.Module = library.ViTForImageClassification(library.ViTConfig())
    started = time.perf_counter()
    conversion = put_on(model, preset(chip).replace(block_size=size), inplace=True)
    seconds = time.perf_counter() - started
    return {
        "seconds": round(seconds, 2),
        **_facts(conversion),
        "size": size,
        "svd_speedup": _svd_speedup(size, seed),
        "backend": compiled.backend(),
        "note": note,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _facts(conversion: Conversion) -> dict[str, Any]:
    on_chip = [layer for layer in conversion.layers if layer.converted]
    blocks = [math.prod(core.blocks) for core in cores(conversion.model, TensorCore).values()]
    return {
        "layers": len(on_chip),
        "blocks": sum(blocks),
        "error": max(layer.weight_error for layer in on_chip),
    }


def _svd_speedup(size: int, seed: int) -> float:
    blocks = torch.randn(_PLAIN, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    svd(blocks[:100])
    times = []
    for work in (torch.linalg.svd, svd):
        started = time.perf_counter()
        work(blocks)
        times.append(time.perf_counter() - started)
    return round(times[0] / times[1], 2)
