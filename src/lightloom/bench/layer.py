"""Claim: an optical layer costs little more than the plain torch layer, in evaluation and in on-chip learning."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightloom.bench.kernels import ask_for_kernels
from lightloom.chips import Chip, preset
from lightloom.nn import OpticalConv2d, OpticalLayer, OpticalLinear
from lightloom.physics import compiled


class Timing(NamedTuple):
    """How often something is timed."""

    rounds: int
    turns: int
    """Timings in each round."""


def layer(*, seed: int = 0, chip: str = "l2ight", rounds: int = 7) -> dict[str, Any]:
    """Time of optical over plain layers: linear 512 -> 512 at batch 128, conv 64 -> 64 3x3 on 32x32 at batch 32.

    `eval` is a forward pass with weights that did not change; `train` is forward and backward with gradients of the
    inputs and, for the optical layer, of the singular values, whose change rebuilds the weight at every step.

    Args:
        seed: Of weights and inputs.
        chip: Preset.
        rounds: Ratios measured of each kind, of which the median is given.
    """
    torch.manual_seed(seed)
    note = ask_for_kernels()
    hardware = preset(chip)
    results: dict[str, Any] = {}
    for name, plain, shape, turns in (
        ("linear", nn.Linear(512, 512), (128, 512), 40),
        ("conv", nn.Conv2d(64, 64, 3, padding=1), (32, 64, 32, 32), 6),
    ):
        timing = Timing(rounds, turns)
        results |= _compare(name, plain, _optical(plain, hardware), torch.randn(shape), timing)
    return {
        **results,
        "chip": chip,
        "block_size": hardware.block_size,
        "backend": compiled.backend(),
        "note": note,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _optical(plain: nn.Linear | nn.Conv2d, chip: Chip) -> OpticalLayer:
    if isinstance(plain, nn.Linear):
        optical: OpticalLayer = OpticalLinear.from_electronic(plain, chip)
    else:
        optical = OpticalConv2d.from_electronic(plain, chip)
    optical.core.install(chip.specimen(0))
    return optical


def _compare(name: str, plain: nn.Module, optical: OpticalLayer, x: Tensor, timing: Timing) -> dict[str, float]:
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
        f"{name}_eval": _ratio(forward(optical), forward(plain), timing),
        f"{name}_train": _ratio(step(optical), step(plain), timing),
    }


def _ratio(optical: Callable[[], None], plain: Callable[[], None], timing: Timing) -> float:
    """Time of one over the other: medians of turns taken alternately, so that other load hits both."""
    optical()
    plain()
    return round(statistics.median(_round(optical, plain, timing.turns) for _ in range(timing.rounds)), 3)


def _round(optical: Callable[[], None], plain: Callable[[], None], turns: int) -> float:
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for work, seconds in zip((optical, plain), times, strict=True):
            started = time.perf_counter()
            work()
            seconds.append(time.perf_counter() - started)
    return statistics.median(times[0]) / statistics.median(times[1])
