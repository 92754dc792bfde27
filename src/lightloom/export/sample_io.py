"""What goes into a network and what comes out, whether tensors stand alone, in a row or by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError

Sample = Tensor | tuple[Tensor, ...] | Mapping[str, Tensor]
"""Inputs of a network: one tensor, several in order, or by the names of `forward`; the first dimension is the batch."""


def inputs_of(sample: Sample) -> dict[str, Tensor]:
    """The tensors of a sample by name; those without one are `input`, or `input_0`, `input_1`, ...

    Raises:
        RequestError: It is no sample, or holds something else than tensors.
    """
    if isinstance(sample, Tensor):
        by_name: dict[str, Any] = {"input": sample}
    elif isinstance(sample, Mapping):
        by_name = dict(sample)
    elif isinstance(sample, tuple):
        by_name = {f"input_{place}": tensor for place, tensor in enumerate(sample)}
    else:
        raise RequestError(f"A sample is a tensor, a tuple of them, or a mapping by name; got {type(sample).__name__}.")
    if not by_name or not all(isinstance(tensor, Tensor) and tensor.ndim for tensor in by_name.values()):
        raise RequestError("A sample holds tensors with a batch dimension, at least one, and nothing else.")
    return by_name


def packed(sample: Sample, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A sample and the answers to it as tensors of one file.

    Args:
        sample: The inputs of a network.
        outputs: What the network answers, by name.
    """
    inputs_of(sample)  # refuses what is none
    if isinstance(sample, Mapping):
        inputs = {f"named/{name}": tensor for name, tensor in sample.items()}
    else:
        inputs = {f"placed/{place}": tensor for place, tensor in enumerate(_row(sample))}
    return inputs | {f"output/{name}": tensor for name, tensor in outputs.items()}


def unpacked(tensors: Mapping[str, Tensor]) -> tuple[Sample, dict[str, Tensor]]:
    """The reverse of `packed`."""
    parts: dict[str, dict[str, Tensor]] = {"named": {}, "placed": {}, "output": {}}
    for key, tensor in tensors.items():
        kind, _, name = key.partition("/")
        parts[kind][name] = tensor
    placed = tuple(parts["placed"][str(place)] for place in range(len(parts["placed"])))
    return parts["named"] or placed, parts["output"]


def call(model: nn.Module, sample: Sample) -> Any:
    """What the model answers to a sample.

    Args:
        model: The network.
        sample: Its inputs.
    """
    if isinstance(sample, Mapping):
        return model(**sample)
    return model(*_row(sample))


def outputs_of(answer: Any) -> dict[str, Tensor]:
    """The tensors of an answer by name, those inside rows and mappings too; anything else is left out.

    Raises:
        RequestError: There is none.
    """
    by_name = dict(_tensors("output", answer))
    if not by_name:
        raise RequestError(f"The network answers with {type(answer).__name__}, which holds no tensor.")
    return by_name


@contextmanager
def still(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, without gradients; every module is put back as it was."""
    before = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in before.items():
            module.training = training


def answers(model: nn.Module, sample: Sample) -> dict[str, Tensor]:
    """The outputs of the model in evaluation mode, by name.

    Args:
        model: The network; every module is put back as it was.
        sample: Its inputs.
    """
    with still(model):
        return outputs_of(call(model, sample))


def difference(outputs: Mapping[str, Tensor], reference: Mapping[str, Tensor]) -> float:
    """Largest |output - reference| over all outputs, relative to its largest |reference|; infinite where one is NaN.

    Args:
        outputs: By name, all that are in the reference.
        reference: What they should be.
    """
    worst = 0.0
    for name, tensor in reference.items():
        if not tensor.numel():
            continue
        here, there = outputs[name].double(), tensor.double()
        distance = torch.where(here == there, 0, (here - there).abs()).nan_to_num(torch.inf, torch.inf)
        scale = float(torch.where(there.isfinite(), there, 0).abs().max())
        worst = max(worst, float(distance.max()) / (scale or 1))
    return worst


def _row(sample: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return sample if isinstance(sample, tuple) else (sample,)


def _tensors(name: str, answer: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(answer, Tensor):
        yield name, answer
    elif isinstance(answer, Mapping):  # also what transformers answer, whose names are better than a number
        for key, value in answer.items():
            yield from _tensors(str(key) if name == "output" else f"{name}_{key}", value)
    elif isinstance(answer, tuple | list):
        for place, value in enumerate(answer):
            yield from _tensors(f"{name}_{place}", value)
