"""Claim: sampling a gradient saves time in training, not only calls, and what is labelled unbiased is unbiased."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.bench.kernels import ask_for_kernels
from lightloom.chips import MeshChip, preset
from lightloom.learn import train_only_subspace
from lightloom.learn.sampling import Sampling, attach
from lightloom.nn import MeshCore, OpticalConv2d, cores, put_on_chip
from lightloom.physics import compiled
from lightloom.tasks.classification import build

_PARTS = ("plain", "dense", "sampled")
SAMPLERS: dict[str, Sampling] = {
    "feedback topk": Sampling(feedback=0.6, feedback_mode="topk", feedback_norm="none"),
    "feedback topk exp": Sampling(feedback=0.6, feedback_mode="topk"),
    "feedback gtopk": Sampling(feedback=0.6, feedback_mode="gtopk", feedback_norm="none"),
    "feedback uniform": Sampling(feedback=0.6, feedback_mode="uniform", feedback_norm="none"),
    "feedback uniform var": Sampling(feedback=0.6, feedback_mode="uniform", feedback_norm="var"),
    "feedback uniform exp": Sampling(feedback=0.6, feedback_mode="uniform"),
    "column": Sampling(column=0.6),
    "column exp": Sampling(column=0.6, column_norm="exp"),
    "spatial exp": Sampling(spatial=0.6, spatial_norm="exp"),
    "rank topk": Sampling(rank=4),
    "rank uniform exp": Sampling(rank=4, rank_mode="uniform", rank_norm="exp"),
}
UNBIASED = ("feedback uniform exp", "column exp", "spatial exp", "rank uniform exp")


def subspace(
    seed: int = 0, *, sparsity: float = 0.6, rounds: int = 5, turns: int = 4, draws: int = 1000
) -> dict[str, Any]:
    """Time of a training step of VGG8 (CIFAR shape, batch 32), and bias and variance of every sampler.

    A step is forward, backward and a change of what trains: all weights of the plain network, singular values and
    norms of the optical one, on a specimen of the `l2ight` chip. Feedback (balanced topk) and columns are sampled.

    Args:
        seed: Of weights, inputs and draws.
        sparsity: Of feedback and columns.
        rounds: Ratios measured of each kind, of which the median is given.
        turns: Steps of each kind in a round, taken alternately, so that other load hits all.
        draws: Draws per sampler.

    Returns:
        `sampled_vs_dense`, `dense_vs_plain`, `sampled_vs_plain`, ratios of times; `samplers`, per sampler the
        relative `bias` ||mean - exact|| / ||exact||, what of it chance alone explains (`bias_noise`), and the relative
        `variance` E||draw - mean||^2 / ||exact||^2.
    """
    torch.manual_seed(seed)
    note = ask_for_kernels()
    chip = preset("l2ight", MeshChip)
    times = _rounds(_steps(chip, sparsity), rounds, turns)
    ratios = {
        f"{above}_vs_{below}": round(statistics.median(t[above] / t[below] for t in times), 3)
        for above, below in (("sampled", "dense"), ("dense", "plain"), ("sampled", "plain"))
    }
    return {
        **ratios,
        **{f"{part}_ms": round(1e3 * statistics.median(t[part] for t in times), 1) for part in _PARTS},
        "sparsity": sparsity,
        "samplers": {name: _figures(chip, sampling, draws) for name, sampling in SAMPLERS.items()},
        "unbiased": list(UNBIASED),
        "chip": chip.name,
        "block_size": chip.block_size,
        "backend": compiled.backend(),
        "note": note,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _steps(chip: MeshChip, sparsity: float) -> dict[str, Callable[[], None]]:
    plain = build("vgg8", shape=(3, 32, 32), classes=10).train()
    inputs, targets = torch.randn(32, 3, 32, 32), torch.randint(10, (32,))
    models: dict[str, nn.Module] = {"plain": plain}
    for name, sampling in (("dense", Sampling()), ("sampled", Sampling(feedback=sparsity, column=sparsity))):
        model = put_on_chip(plain, chip, 0).model.train()
        train_only_subspace(model)
        attach(model, sampling)
        models[name] = model
    return {name: _step(model, inputs, targets) for name, model in models.items()}


def _step(model: nn.Module, inputs: Tensor, targets: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-4)

    def once() -> None:
        optimizer.zero_grad()
        torch.autograd.backward(F.cross_entropy(model(inputs), targets))
        optimizer.step()

    return once


def _rounds(steps: dict[str, Callable[[], None]], rounds: int, turns: int) -> list[dict[str, float]]:
    """Median seconds of each kind of step, round by round."""
    for step in steps.values():
        step()
    measured = []
    for _ in range(rounds):
        times: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(turns):
            for name, step in steps.items():
                started = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - started)
        measured.append({name: statistics.median(seconds) for name, seconds in times.items()})
    return measured


def _figures(chip: MeshChip, sampling: Sampling, draws: int) -> dict[str, float]:
    """Bias and variance of one sampler on a small convolution: of dx for the feedback, of dSigma for the others."""
    torch.manual_seed(0)
    layer = OpticalConv2d(18, 36, 3, padding=1, bias=False, chip=chip)
    layer.core.install(chip.specimen(0))
    x, grad = torch.randn(4, 18, 6, 6, requires_grad=True), torch.randn(4, 36, 6, 6)
    source = x if sampling.feedback else cores(layer, MeshCore)[""].sigma

    def gradient() -> Tensor:
        (slope,) = torch.autograd.grad(layer(x), source, grad)
        return slope.flatten().double()

    exact = gradient()
    # behind a first layer, whose rules leave little to sample
    attach(nn.Sequential(OpticalConv2d(1, 1, 1, chip=chip), layer), sampling)
    power, mean, spread = exact.square().sum(), torch.zeros_like(exact), 0.0
    for number in range(1, draws + 1):
        draw = gradient()
        step = draw - mean
        mean = mean + step / number
        spread += float(step @ (draw - mean))
    variance = spread / max(1, draws - 1)
    return {
        "bias": round(float((mean - exact).square().sum() / power) ** 0.5, 5),
        "bias_noise": round((variance / draws / float(power)) ** 0.5, 5),
        "variance": round(variance / float(power), 5),
    }
