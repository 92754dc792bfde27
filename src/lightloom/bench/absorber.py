"""Claim: a saturable absorber costs a training step about what tanh does, its derivative or a probe's view included."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, get_args

import torch
from torch import Tensor

from lightloom.bench.kernels import ask_for_kernels
from lightloom.nn.absorber import Gradient, SaturableAbsorber
from lightloom.physics import compiled
from lightloom.physics.absorber import Form

_SHAPE = (64, 32, 24, 24)
_PLAIN = {"tanh": torch.tanh, "relu": torch.relu}
_GRADIENTS: tuple[Gradient, ...] = ("probe", "exact")
_DEPTH = 10.0


def absorber(*, seed: int = 0, rounds: int = 9) -> dict[str, Any]:
    """Time of an absorber, forward and backward, over that of tanh and of ReLU on the same 1.2 million fields.

    Optical depth 10, amplitude encoding; `thin_probe_vs_tanh` is of the published medium with the gradient that a probe
    sees, and so on. `torch_...` is without the kernels, `broadened_exact_vs_tanh` is of propagation on an inhomogeneous
    line, and `lossy_exact_vs_tanh` of propagation with residual loss, which is integrated. `tanh_ms` is
    one turn of tanh.

    Args:
        seed: Of the fields.
        rounds: Turns of each kind, taken alternately; the ratio is that of the medians.
    """
    note = ask_for_kernels()
    x = torch.randn(_SHAPE, generator=torch.Generator().manual_seed(seed)).mul_(2).requires_grad_()
    upstream = torch.randn(_SHAPE, generator=torch.Generator().manual_seed(seed + 1))
    works = {name: _step(work, x, upstream) for name, work in dict(_ways()).items()}
    with compiled.use("torch"):
        slow = _medians(works, rounds)
    fast = _medians(works | {name: _step(work, x, upstream) for name, work in _others().items()}, rounds)
    return {
        **_ratios(fast, ""),
        **_ratios(slow, "torch_"),
        "tanh_ms": round(1e3 * fast["tanh"], 2),
        "backend": compiled.backend(),
        "note": note,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _ways() -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    yield from _PLAIN.items()
    for form, gradient in product(get_args(Form), _GRADIENTS):
        yield f"{form}_{gradient}", SaturableAbsorber(_DEPTH, form=form, gradient=gradient)


def _others() -> dict[str, SaturableAbsorber]:
    return {
        "broadened_exact": SaturableAbsorber(_DEPTH, form="propagated", broadening="inhomogeneous"),
        "lossy_exact": SaturableAbsorber(_DEPTH, form="propagated", residual=0.5),
    }


def _step(work: Callable[[Tensor], Tensor], x: Tensor, upstream: Tensor) -> Callable[[], None]:
    def step() -> None:
        torch.autograd.grad(work(x), x, upstream)

    return step


def _medians(works: dict[str, Callable[[], None]], rounds: int) -> dict[str, float]:
    """Seconds of each, in turns taken alternately, so that other load hits all."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in range(rounds):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def _ratios(medians: dict[str, float], prefix: str) -> dict[str, float]:
    own = (name for name in medians if name not in _PLAIN)
    return {
        f"{prefix}{name}_vs_{plain}": round(medians[name] / medians[plain], 3) for name, plain in product(own, _PLAIN)
    }
