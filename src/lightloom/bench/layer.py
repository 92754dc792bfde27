"""Claim: an optical layer costs little more than the plain torch layer, in evaluation and in on-chip learning."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.chips import MeshChip, preset
from lightloom.nn import OpticalConv2d, OpticalLayer, OpticalLinear
from lightloom.physics import compiled


def layer(*, seed: int = 0, chip: str = "l2ight", repeats: int = 60) -> dict[str, Any]:
    """Time of optical over plain layers: linear 512 -> 512 at batch 128, conv 64 -> 64 3x3 on 32x32 at batch 32.

    `eval` is a forward pass with weights that did not change; `train` is forward and backward with gradients of the
    inputs and, for the optical layer, of the singular values, whose change rebuilds the weight at every step.

    Args:
        seed: Of weights and inputs.
        chip: Preset.
        repeats: Timings of each kind; plain and optical alternate, and medians are compared.
    """
    torch.manual_seed(seed)
    kernels = _ask_for_kernels()
    hardware = preset(chip)
    results: dict[str, Any] = {}
    for name, plain, shape in (
        ("linear", nn.Linear(512, 512), (128, 512)),
        ("conv", nn.Conv2d(64, 64, 3, padding=1), (32, 64, 32, 32)),
    ):
        optical = _optical(plain, hardware)
        results |= _compare(name, plain, optical, torch.randn(shape), repeats)
    return {
        **results,
        "chip": chip,
        "block_size": hardware.block_size,
        "backend": kernels,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _ask_for_kernels() -> str:
    """Running the bench is asking for the compiled kernels; without a compiler torch does the work."""
    with suppress(RuntimeError):
        compiled.build()
    return compiled.backend()


def _optical(plain: nn.Linear | nn.Conv2d, chip: MeshChip) -> OpticalLayer:
    if isinstance(plain, nn.Linear):
        made: OpticalLayer = OpticalLinear.from_electronic(plain, chip)
    else:
        made = OpticalConv2d.from_electronic(plain, chip)
    made.core.install(chip.specimen(0))
    return made


def _compare(name: str, plain: nn.Module, optical: OpticalLayer, x: Tensor, repeats: int) -> dict[str, float]:
    def forward(module: nn.Module) -> Callable[[], None]:
        def once() -> None:
            with torch.no_grad():
                module(x)

        return once

    def step(module: nn.Module) -> Callable[[], None]:
        inputs = x.clone().requires_grad_()
        grad = torch.randn_like(module(inputs))
        trained = [p for p in module.parameters() if p.requires_grad]

        def once() -> None:
            torch.autograd.grad(module(inputs), [inputs, *trained], grad)
            with torch.no_grad():
                for parameter in trained:
                    parameter.add_(0.0)  # as an optimiser does: the weight is not what was kept

        return once

    return {
        f"{name}_eval": _ratio(forward(optical), forward(plain), repeats),
        f"{name}_train": _ratio(step(optical), step(plain), repeats),
    }


def _ratio(optical: Callable[[], None], plain: Callable[[], None], repeats: int) -> float:
    """Median time of one over the other, measured in turns so that other load hits both."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 3):
        for work, kept in zip((optical, plain), times, strict=True):
            started = time.perf_counter()
            work()
            if turn >= 3:  # the first turns warm caches and threads
                kept.append(time.perf_counter() - started)
    return round(statistics.median(times[0]) / statistics.median(times[1]), 3)
