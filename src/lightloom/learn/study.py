"""How near sampled gradients come to the exact one, layer by layer."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from lightloom.learn.sampling import Sampling, attach
from lightloom.learn.subspace import train_only_subspace
from lightloom.nn import SubspaceCore, cores

Kind = Literal["feedback", "column", "spatial"]
SPARSITIES = (0.2, 0.4, 0.6, 0.8, 0.9)
"""The published ones."""


def sweep(kind: Kind, sparsities: Sequence[float] = SPARSITIES, **settings: Any) -> dict[str, Sampling]:
    """Samplings that differ in one sparsity, by name; `settings` are other fields of `Sampling`."""
    return {f"{kind} {sparsity}": Sampling(**{**settings, kind: sparsity}) for sparsity in sparsities}


def gradient_study(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    samplings: Mapping[str, Sampling],
    draws: int = 1,
) -> list[dict[str, Any]]:
    """Compare the sampled with the exact gradient of the singular values, on one batch.

    Args:
        model: A converted model; it is copied, dropout is switched off in the copy, and nothing of it changes.
        inputs: One batch [n, ...].
        targets: Its targets.
        loss: Mean loss of outputs and targets.
        samplings: What to compare, by name, see `sweep`.
        draws: Random draws to average the figures over.

    Returns:
        One row per sampling and layer, and one with the layer "all": `sampling`, `layer`, `similarity` =
        1 - acos(cos) / pi (0.5 is at right angles) and `error` = ||sampled - exact||^2 / ||exact||^2.
    """
    studied = copy.deepcopy(model).train()
    train_only_subspace(studied)
    for module in studied.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.eval()
    attach(studied, Sampling())
    exact = _gradients(studied, inputs, targets, loss)
    rows = []
    for name, sampling in samplings.items():
        attach(studied, sampling)
        sampled = [_gradients(studied, inputs, targets, loss) for _ in range(draws)]
        for layer, gradient in exact.items():
            figures = [_compare(draw[layer], gradient) for draw in sampled]
            similarity, error = (sum(column) / draws for column in zip(*figures, strict=True))
            rows.append({"sampling": name, "layer": layer, "similarity": similarity, "error": error})
    return rows


def _gradients(
    model: nn.Module, inputs: Tensor, targets: Tensor, loss: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, Tensor]:
    """Gradient of each layer's singular values, and all of them joined under "all"."""
    layers = cores(model, SubspaceCore)
    sigmas = [core.sigma for core in layers.values()]
    gradients = torch.autograd.grad(loss(model(inputs), targets), sigmas)
    named = {name: gradient.flatten().double() for name, gradient in zip(layers, gradients, strict=True)}
    return {**named, "all": torch.cat(list(named.values()))}


def _compare(sampled: Tensor, exact: Tensor) -> tuple[float, float]:
    cosine = float(torch.nn.functional.cosine_similarity(sampled, exact, dim=0))
    similarity = 1 - math.acos(max(-1.0, min(1.0, cosine))) / math.pi
    return similarity, float((sampled - exact).square().sum() / exact.square().sum())
