"""How well a network works on many manufactured chips: the accuracy of each, together, and one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.common.progress import follow
from lightloom.data.batches import Samples
from lightloom.nn.install import install
from lightloom.nn.specimen_ensemble import SpecimenEnsemble

CHUNK = 1000
"""Samples in a batch."""


@checked
@torch.no_grad()
def accuracies(
    model: nn.Module,
    seeds: Sequence[int],
    samples: Samples,
    *,
    memory: int = 2**30,
    chunk: int = CHUNK,
    progress: bool = True,
) -> Tensor:
    """The share of samples that each specimen of a classifier gets right, many specimens at a time.

    Args:
        model: A converted classifier; its outputs are [batch, classes]. It is left as it is.
        seeds: Which specimens of its own chip, or chips.
        samples: Inputs and class numbers, on the model's device.
        memory: Bytes that weights and activations may take together, see `SpecimenEnsemble`.
        chunk: Samples in a batch. What is noisy is drawn once for each specimen and batch.
        progress: Whether to show how far it is.

    Returns:
        [S] float64, in the order of the seeds.

    Raises:
        RequestError: There is no seed or no sample, or the outputs are no scores of classes.
    """
    _check(seeds, samples, chunk)
    ensemble = SpecimenEnsemble(model, seeds, memory=memory)
    total = len(ensemble.chunks) * -(-len(samples) // chunk)
    steps = 0
    right: list[Tensor] = []
    with follow("specimens", total, shown=progress) as report:
        for part in ensemble.parts():
            counts = samples.targets.new_zeros(len(part.seeds))
            for inputs, targets in _batches(samples, chunk):
                counts += _right(_scores(part(inputs), 3), targets)
                steps += 1
                specimens = sum(map(len, right)) + len(part.seeds)
                report(steps, f"{specimens} of {len(ensemble.seeds)} specimens")
            right.append(counts)
    return torch.cat(right).double().cpu() / len(samples)


@checked
@torch.no_grad()
def sequential(model: nn.Module, seeds: Sequence[int], samples: Samples, *, chunk: int = CHUNK) -> Tensor:
    """Compute `accuracies`, one specimen after the other: the model is installed on it and evaluated, and ends on none.

    Args:
        model: A converted classifier; its outputs are [batch, classes].
        seeds: Which specimens of its own chip, or chips.
        samples: Inputs and class numbers, on the model's device.
        chunk: Samples in a batch.

    Returns:
        [S] float64, in the order of the seeds.

    Raises:
        RequestError: There is no seed or no sample, or the outputs are no scores of classes.
    """
    _check(seeds, samples, chunk)
    was_training = model.training
    model.eval()
    shares = []
    for seed in seeds:
        install(model, seed)
        right = sum(int(_right(_scores(model(inputs), 2), targets)) for inputs, targets in _batches(samples, chunk))
        shares.append(right / len(samples))
    install(model, None)
    model.train(was_training)
    return torch.tensor(shares, dtype=torch.float64)


def _batches(samples: Samples, chunk: int) -> Iterator[tuple[Tensor, Tensor]]:
    data = samples.inputs
    for start in range(0, len(samples), chunk):
        numbers = torch.arange(start, min(start + chunk, len(samples)), device=data.device)
        # a slice of a tensor is no copy
        inputs = data[start : start + chunk] if isinstance(data, Tensor) else data[numbers]
        yield inputs, samples.targets[start : start + chunk]


def _check(seeds: Sequence[int], samples: Samples, chunk: int) -> None:
    if len(seeds) == 0:
        raise RequestError("There is no specimen to evaluate; give at least one seed.")
    if len(samples) == 0:
        raise RequestError("There is no sample to evaluate on; give at least one.")
    if chunk < 1:
        raise RequestError(f"`chunk` is {chunk}; a batch has at least 1 sample.")


def _scores(outputs: object, rank: int) -> Tensor:
    if not isinstance(outputs, Tensor) or outputs.ndim != rank:
        actual = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
        raise RequestError(f"The accuracy is that of outputs [batch, classes], got {actual} from the model.")
    return outputs


def _right(scores: Tensor, targets: Tensor) -> Tensor:
    """How many samples [..., batch, classes] are given their target [batch]: one count for each specimen."""
    return (scores.argmax(-1) == targets).sum(-1)
