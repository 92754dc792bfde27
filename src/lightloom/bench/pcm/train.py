"""Claim: a write-aware training step on phase-change weights costs little more than one on plain weights."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lightloom.bench.kernels import ask_for_kernels
from lightloom.physics import compiled, pcm
from lightloom.physics.pcm.order.sort import sort_cells
from lightloom.physics.pcm.penalty import Penalty, write
from lightloom.physics.pcm.quantise import levels_of, quantise
from lightloom.physics.pcm.schedule import natural

Weigh = Callable[[Tensor], tuple[Tensor, Tensor | None]]

_OUT, _IN, _KERNEL, _SIDE, _BATCH, _SIZE = 512, 512, 3, 2, 64, 64
_TURNS = 4


def pcm_train(*, seed: int = 0, rounds: int = 7) -> dict[str, Any]:
    """Time of a training step with quantised weights over that with plain ones, for one convolution of VGG8.

    Convolution 512 -> 512 3x3 on 2x2 at batch 64, forward and backward with gradients of the inputs and the weight;
    4-bit cells in arrays of 64 x 64. `ratio` is with the row-mean L2 penalty, which published code takes 4.6 times the
    plain step for; `quantised` is without a penalty, and `previous` with that of what is written in the natural order
    (`natural`) or where each cell is sorted (`sorted`).

    Args:
        seed: Of weights and inputs.
        rounds: Ratios measured of each kind, of which the median is given.
    """
    note = ask_for_kernels()
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(_OUT, _IN * _KERNEL**2, generator=generator) / (_IN * _KERNEL**2) ** 0.5
    x = torch.randn(_BATCH, _IN, _SIDE, _SIDE, generator=generator)
    plain = _step(matrix, x, lambda weight: (weight, None))
    steps = {name: _step(matrix, x, weigh) for name, weigh in _ways(matrix).items()}
    ratios = {name: _ratio(step, plain, rounds) for name, step in steps.items()}
    return {
        "ratio": ratios["row_mean"],
        "quantised": ratios["quantised"],
        "previous": {order: ratios[order] for order in ("natural", "sorted")},
        "plain_ms": round(1e3 * statistics.median(_clock(plain) for _ in range(_TURNS)), 1),
        "backend": compiled.backend(),
        "note": note,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _ways(matrix: Tensor) -> dict[str, Weigh]:
    """Ways from the matrix to a weight and a penalty, by name."""
    magnitudes = pcm.magnitudes(pcm.transmissions(16, 0.872))
    order = sort_cells(levels_of(matrix, magnitudes), natural(1, _OUT, matrix.shape[1], _SIZE))
    previous = Penalty(_SIZE, reference="previous", norm="l1")

    def penalised(aim: Penalty) -> Weigh:
        def weigh(matrix: Tensor) -> tuple[Tensor, Tensor]:
            result = write(matrix, magnitudes, aim)
            return result.weight, result.penalty

        return weigh

    return {
        "quantised": lambda matrix: (quantise(matrix, magnitudes).weight, None),
        "row_mean": penalised(Penalty(_SIZE)),
        "natural": penalised(previous),
        "sorted": penalised(previous._replace(rows=order.rows, columns=order.columns)),
    }


def _step(matrix: Tensor, x: Tensor, weigh: Weigh) -> Callable[[], None]:
    """One training step: the convolution and, where there is one, the penalty, forwards and backwards."""
    trained, inputs = matrix.clone().requires_grad_(), x.clone().requires_grad_()
    upstream = torch.randn(_BATCH, _OUT, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))

    def forward() -> tuple[Tensor, Tensor | None]:
        weight, penalty = weigh(trained)
        return torch.nn.functional.conv2d(inputs, weight.view(_OUT, _IN, _KERNEL, _KERNEL), padding=1), penalty

    def step() -> None:
        outputs, penalty = forward()
        losses = [outputs] if penalty is None else [outputs, penalty]
        ones = [upstream] if penalty is None else [upstream, torch.ones_like(penalty)]
        torch.autograd.grad(losses, [inputs, trained], ones)

    return step


def _ratio(step: Callable[[], None], plain: Callable[[], None], rounds: int) -> float:
    """Time of one over the other: medians of turns taken alternately, so that other load hits both."""
    step()
    plain()
    ratios: list[float] = []
    for _ in range(rounds):
        pairs = [(_clock(step), _clock(plain)) for _ in range(_TURNS)]
        ours, theirs = (statistics.median(times) for times in zip(*pairs, strict=True))
        ratios.append(ours / theirs)
    return round(statistics.median(ratios), 3)


def _clock(work: Callable[[], None]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
