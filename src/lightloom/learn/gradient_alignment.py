"""How near approximate gradients come to the exact ones, layer by layer.

Two approximations are compared: what light measures behind absorbers, and what sampling leaves of a gradient.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError, nearest
from lightloom.learn.sampling import Sampling, attach
from lightloom.learn.subspace import train_only_subspace
from lightloom.nn import AllOptical, OpticalLayer, SaturableAbsorber, SubspaceCore, cores
from lightloom.nn.absorber import Gradient

Kind = Gradient | Literal["light"]
"""What every absorber does to the error; "light" is an all-optical network's own pass, with all that is imperfect."""

Loss = Callable[[Tensor, Tensor], Tensor]

Sparsity = Literal["feedback", "column", "spatial"]
"""What of a `Sampling` a sweep varies."""

SPARSITIES = (0.2, 0.4, 0.6, 0.8, 0.9)
"""The published ones."""

_PERFECT_BACKWARDS: dict[str, Any] = {"probe_intensity": 0.0, "photons": None, "detector_std": 0.0, "error_bits": None}
"""What is left of an `OpticalPass` is what the forward light meets."""


def gradient_angles(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    loss: Loss,
    kinds: Sequence[Kind] = ("probe",),
    reference: Gradient = "exact",
) -> list[dict[str, Any]]:
    """Compare the weight gradients of some kinds with those of another, on one batch.

    Compared is the gradient of what trains in each linear or convolutional layer but the bias: its weight, the
    singular values of a mesh, the matrix behind PCM levels. Dropout is off, noise that is drawn with the weights is the
    same for all kinds, and the model, its gradients and the random numbers to come stay as they were.

    Args:
        model: A model with `SaturableAbsorber`s, or an `AllOptical` around one; its kinds but "light" are those of a
            backward pass without imperfections, after the same forward light and outputs read without noise.
        inputs: One batch [n, ...].
        targets: Its targets.
        loss: Mean loss of outputs and targets.
        kinds: `gradient` of all absorbers; or "light", the pass of an `AllOptical` with the absorbers as they are.
        reference: What to compare with.

    Returns:
        One row per kind and layer, and one with the layer "all" that joins them: `kind`, `layer`, `angle_deg` between
        both gradients (90 where one of them is nothing), its `cosine`, and `norm_ratio` = ||kind|| / ||reference|| (0
        where the reference is nothing).

    Raises:
        RequestError: There is no such kind, "light" is asked of another model, or no layer trains.
    """
    layers = _layers(model)
    for kind in kinds:
        _check(kind, model)
    if reference not in get_args(Gradient):
        raise RequestError(f"`{reference}` is no reference for gradients. {nearest(reference, get_args(Gradient))}")
    if not layers:
        raise RequestError(
            "No linear or convolutional layer trains; unfreeze the weights whose gradients are compared."
        )
    absorbers = [module for module in model.modules() if isinstance(module, SaturableAbsorber)]
    rows = []
    with _untouched(model, absorbers) as redraw:

        def measure(kind: Kind) -> dict[str, Tensor]:
            redraw(kind)
            return _gradients(model, layers, loss, inputs, targets)

        exact = measure(reference)
        for kind in kinds:
            measured = measure(kind)
            rows += [{"kind": kind, "layer": layer, **_angle(measured[layer], exact[layer])} for layer in exact]
    return rows


def sparsity_sweep(kind: Sparsity, sparsities: Sequence[float] = SPARSITIES, **settings: Any) -> dict[str, Sampling]:
    """Samplings that differ in one sparsity, by name.

    Args:
        kind: Which sparsity.
        sparsities: Its values.
        **settings: Other fields of `Sampling`.
    """
    return {f"{kind} {sparsity}": Sampling(**{**settings, kind: sparsity}) for sparsity in sparsities}


def gradient_study(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    loss: Loss,
    samplings: Mapping[str, Sampling],
    draws: int = 1,
) -> list[dict[str, Any]]:
    """Compare the sampled with the exact gradient of the singular values, on one batch.

    Args:
        model: A converted model; it is copied, dropout is switched off in the copy, and nothing of it changes.
        inputs: One batch [n, ...].
        targets: Its targets.
        loss: Mean loss of outputs and targets.
        samplings: What to compare, by name, see `sparsity_sweep`.
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
    layers = {name: [core.sigma] for name, core in cores(studied, SubspaceCore).items()}
    attach(studied, Sampling())
    exact = _gradients(studied, layers, loss, inputs, targets)
    rows = []
    for name, sampling in samplings.items():
        attach(studied, sampling)
        sampled = [_gradients(studied, layers, loss, inputs, targets) for _ in range(draws)]
        for layer, gradient in exact.items():
            pairs = [(_similarity(draw[layer], gradient), _relative_error(draw[layer], gradient)) for draw in sampled]
            similarity, error = (sum(column) / draws for column in zip(*pairs, strict=True))
            rows.append({"sampling": name, "layer": layer, "similarity": similarity, "error": error})
    return rows


def _layers(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """What trains in each weight layer but the bias."""
    network = model.model if isinstance(model, AllOptical) else model
    layers = {}
    for name, module in network.named_modules():
        if isinstance(module, nn.Linear | nn.Conv2d | OpticalLayer):
            trained = [p for path, p in module.named_parameters() if path != "bias" and p.requires_grad]
            layers.update({name: trained} if trained else {})
    return layers


def _check(kind: str, model: nn.Module) -> None:
    gradients = get_args(Gradient)
    if kind == "light" and not isinstance(model, AllOptical):
        raise RequestError(
            f"The kind `light` is the pass of an `AllOptical` network, got a `{type(model).__name__}`; wrap it, or ask "
            "for `probe`."
        )
    if kind not in (*gradients, "light"):
        raise RequestError(f"`{kind}` is no kind of gradient. {nearest(kind, (*gradients, 'light'))}")


@contextmanager
def _untouched(model: nn.Module, absorbers: Sequence[SaturableAbsorber]) -> Iterator[Callable[[Kind], None]]:
    """A model in evaluation, and a way to set all its absorbers and to draw the same noise anew; all is put back."""
    modes = [(module, module.training) for module in model.modules()]
    own = [absorber.gradient for absorber in absorbers]
    light = model.light if isinstance(model, AllOptical) else None
    with torch.random.fork_rng():
        seed = int(torch.randint(2**62, ()))

        def redraw(kind: Kind) -> None:
            torch.manual_seed(seed)
            for absorber, before in zip(absorbers, own, strict=True):
                absorber.gradient = before if kind == "light" else kind
            if isinstance(model, AllOptical) and light is not None:
                model.light = light if kind == "light" else light.replace(**_PERFECT_BACKWARDS)

        try:
            model.eval()
            yield redraw
        finally:
            for module, training in modes:
                module.training = training
            for absorber, before in zip(absorbers, own, strict=True):
                absorber.gradient = before
            if isinstance(model, AllOptical) and light is not None:
                model.light = light


def _gradients(
    model: nn.Module, layers: dict[str, list[nn.Parameter]], loss: Loss, inputs: Tensor, targets: Tensor
) -> dict[str, Tensor]:
    """Gradient of each layer, and all of them joined under "all"; zero where the error does not reach."""
    parameters = [parameter for trained in layers.values() for parameter in trained]
    with torch.enable_grad():
        flat = torch.autograd.grad(loss(model(inputs), targets), parameters, allow_unused=True, materialize_grads=True)
    gradients = iter(flat)
    by_layer = {name: torch.cat([next(gradients).flatten().double() for _ in own]) for name, own in layers.items()}
    return {**by_layer, "all": torch.cat(list(by_layer.values()))}


class _Alignment(NamedTuple):
    cosine: float
    """0 where one of the two is nothing."""
    norm_ratio: float
    """||measured|| / ||exact||; 0 where the exact one is nothing."""


def _align(measured: Tensor, exact: Tensor) -> _Alignment:
    norms = float(measured.norm()), float(exact.norm())
    both = norms[0] * norms[1]
    cosine = max(-1.0, min(1.0, float(measured @ exact) / both)) if both > 0 else 0.0
    return _Alignment(cosine, norms[0] / norms[1] if norms[1] > 0 else 0.0)


def _angle(measured: Tensor, exact: Tensor) -> dict[str, float]:
    cosine, ratio = _align(measured, exact)
    return {"angle_deg": math.degrees(math.acos(cosine)), "cosine": cosine, "norm_ratio": ratio}


def _similarity(sampled: Tensor, exact: Tensor) -> float:
    """1 for the same direction, 0.5 at right angles, 0 for the opposite one."""
    return 1 - math.acos(_align(sampled, exact).cosine) / math.pi


def _relative_error(sampled: Tensor, exact: Tensor) -> float:
    return float((sampled - exact).square().sum() / exact.square().sum())
