"""Claim: training a network of saturable absorbers costs hardly more than training the same network with ReLU."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

from lightloom.bench.kernels import ask_for_kernels
from lightloom.nn import SaturableAbsorber
from lightloom.physics import compiled
from lightloom.tasks.classification import Classify, build

_BATCH, _SHAPE, _CLASSES = 64, (1, 28, 28), 10
_LEARNING_RATE = 5e-4
_DEPTH = 10.0
_ABSORBERS: dict[str, Callable[[], nn.Module]] = {
    "probe": partial(SaturableAbsorber, _DEPTH, gradient="probe"),
    "exact": partial(SaturableAbsorber, _DEPTH, gradient="exact"),
    "propagated": partial(SaturableAbsorber, _DEPTH, form="propagated", gradient="exact"),
}
_INPUT_SCALE = {"mlp": 1.0, "cnn": 5.0}  # as published for this depth
_TURNS = {"mlp": 25, "cnn": 4}  # a step of the one takes some 3 ms, of the other 20 times as long


def optical_step(*, seed: int = 0, rounds: int = 7) -> dict[str, Any]:
    """Time of a training step with absorbers of optical depth 10 over that with ReLU: forward, MSE, backward, Adam.

    `mlp_...` is 784-128-128-10 and `cnn_...` two 5x5 convolutions of 32 and 64 channels on 28x28 with a hidden layer of
    128, both at batch 64. `..._probe` and `..._exact` are of the thin medium, `..._propagated` is the exact gradient of
    the propagated one; `..._ms` is the step with ReLU.

    Args:
        seed: Of weights and inputs.
        rounds: Ratios measured of each kind, of which the median is given.
    """
    note = ask_for_kernels()
    measured: dict[str, Any] = {}
    for name, turns in _TURNS.items():
        plain = _step(name, seed, nn.ReLU)
        steps = {kind: _step(name, seed, absorber) for kind, absorber in _ABSORBERS.items()}
        ratios, seconds = _ratios(steps, plain, rounds, turns)
        measured |= {f"{name}_{kind}": ratio for kind, ratio in ratios.items()}
        measured[f"{name}_ms"] = round(1e3 * seconds, 2)
    return {
        **measured,
        "backend": compiled.backend(),
        "note": note,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _step(name: str, seed: int, activation: Callable[[], nn.Module]) -> Callable[[], None]:
    """One training step of `optical-mlp` or `optical-cnn`, its weights and its batch drawn from the seed."""
    torch.manual_seed(seed)
    net = build(
        f"optical-{name}", shape=_SHAPE, classes=_CLASSES, activation=activation, input_scale=_INPUT_SCALE[name]
    ).train()
    images, labels = torch.rand(_BATCH, *_SHAPE), torch.randint(_CLASSES, (_BATCH,))
    optimiser = torch.optim.Adam(net.parameters(), lr=_LEARNING_RATE)
    loss = Classify(criterion="mse").loss

    def step() -> None:
        optimiser.zero_grad()
        torch.autograd.backward(loss(net(images), labels))
        optimiser.step()

    return step


def _ratios(
    steps: dict[str, Callable[[], None]], plain: Callable[[], None], rounds: int, turns: int
) -> tuple[dict[str, float], float]:
    """Time of each over the plain one, and the plain one's in seconds; all take turns, so that other load hits all."""
    everything = {**steps, "plain": plain}
    for work in everything.values():
        work()
    by_round: list[dict[str, float]] = []
    for _ in range(rounds):
        # every other turn goes backwards: a step finds the caches as the step before left them
        orders = [list(everything)[:: (-1) ** turn] for turn in range(turns)]
        times = [{name: _clock(everything[name]) for name in order} for order in orders]
        by_round.append({name: statistics.median(turn[name] for turn in times) for name in everything})
    ratios = {name: round(statistics.median(each[name] / each["plain"] for each in by_round), 3) for name in steps}
    return ratios, statistics.median(each["plain"] for each in by_round)


def _clock(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
