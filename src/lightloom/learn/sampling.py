"""Sampled learning of a whole model: which layers sample what, and which batches and examples are learned from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from pydantic import Field
from torch import Tensor, nn

from lightloom.common.errors import RequestError, nearest
from lightloom.data.batches import Batch
from lightloom.nn import OpticalLayer, optical_layers
from lightloom.nn.gradient_sampler import LayerSampling, Sampler
from lightloom.physics import sampling as masks

Identities = Mapping[str, tuple[Tensor, Tensor]]
"""Measured (I_U, I_V) [groups, p, q, k, k] by name of the layer."""


class Sampling(LayerSampling):
    """Which part of a model's training is measured.

    Two rules are L2ight's: linear layers never sample their feedback, and the first convolution, whose inputs are few
    and reach everything behind it, samples neither pixels nor blocks, and columns only where `first_column` says so.
    """

    first_column: bool = False
    """Whether the first convolution samples its columns too."""
    smd: float = Field(0.0, ge=0, lt=1)
    """Chance that a whole minibatch is skipped (stochastic minibatch dropping)."""
    information: float = Field(0.0, ge=0, lt=1)
    """Share of each minibatch that is left out because a teacher is sure of it."""

    def of_layer(self, layer: OpticalLayer, first: bool) -> LayerSampling:
        """The settings of one layer.

        Args:
            layer: The optical layer.
            first: Whether nothing optical comes before it.
        """
        values = {name: getattr(self, name) for name in LayerSampling.model_fields}
        if layer.signal_dims == 1:
            values |= {"feedback": 0.0}
        elif first:
            values |= {"feedback": 0.0, "forward": 0.0, "spatial": 0.0}
            values |= {} if self.first_column else {"column": 0.0}
        return LayerSampling(**values)


PRESETS: dict[str, Sampling] = {
    # Gu et al., L2ight, NeurIPS 2021, released configurations for CIFAR-10
    "l2ight-vgg8": Sampling(feedback=0.6, column=0.6, smd=0.5),
    "l2ight-resnet18": Sampling(feedback=0.5, column=0.5, smd=0.5),
    # RAD (Oktay et al., ICLR 2021) and SWAT-U (Raihan and Aamodt, NeurIPS 2020) as L2ight compares itself with them
    "rad-vgg8": Sampling(spatial=0.85, spatial_norm="exp"),
    "rad-resnet18": Sampling(spatial=0.9, spatial_norm="exp"),
    "swat-u-vgg8": Sampling(forward=0.3, spatial=0.6),
    "swat-u-resnet18": Sampling(forward=0.3, spatial=0.5),
}


def sampling_preset(name: str) -> Sampling:
    """The sampling of this name.

    Raises:
        RequestError: There is none; the nearest known name is given.
    """
    if name not in PRESETS:
        raise RequestError(f"There is no sampling `{name}`. {nearest(name, PRESETS)}")
    return PRESETS[name]


def attach(model: nn.Module, sampling: Sampling, identities: Identities | None = None) -> None:
    """Let every optical layer of `model` learn from samples; evaluation stays as it is.

    Args:
        model: A converted model. What was attached before is replaced; `Sampling()` makes training dense again.
        sampling: What to sample.
        identities: Measured pseudo-identities; layers without an entry have perfect ones.

    Raises:
        ValueError: The model has no optical layer, a name in `identities` is not one, a shape does not fit, or a
            rank is above the block size.
    """
    layers, identities = optical_layers(model), dict(identities or {})
    if not layers:
        raise ValueError("there is nothing to sample: the model has no optical layer; use `convert` first")
    for name in identities:
        if name not in layers:
            raise ValueError(f"identities are given for `{name}`, which is no optical layer. {nearest(name, layers)}")
    for number, (name, layer) in enumerate(layers.items()):
        settings, measured = sampling.of_layer(layer, first=number == 0), identities.get(name)
        _check(name, layer, settings, measured)
        plain = not settings.samples and measured is None
        layer.sampler = None if plain else Sampler(settings, measured).to(layer.weight.device)


def sample_batches(
    batches: Iterable[tuple[int, Batch]], sampling: Sampling, seed: int, teacher: nn.Module | None = None
) -> Iterator[tuple[int, Batch]]:
    """Data sampling: drop whole batches by chance (SMD), and of the others what a teacher is sure of.

    Args:
        batches: Numbered; the numbers are kept, so that a schedule goes on over what is skipped.
        sampling: Its `smd` and `information`.
        seed: Of this epoch, the same in every process: all have to skip the same batches.
        teacher: Trained model whose logits [n, classes] tell how sure it is; needed for `information`.

    Yields:
        At least one batch, where there is any.

    Raises:
        RequestError: `information` is asked for without a teacher; raised at once.
    """
    if sampling.information and teacher is None:
        raise RequestError("`information` sampling needs a teacher to tell which examples are uncertain; give one.")
    return _sampled(batches, sampling, torch.Generator().manual_seed(seed), teacher)


def _sampled(
    batches: Iterable[tuple[int, Batch]], sampling: Sampling, generator: torch.Generator, teacher: nn.Module | None
) -> Iterator[tuple[int, Batch]]:
    last: tuple[int, Batch] | None = None
    learned = False
    for number, batch in batches:
        last = number, batch
        if sampling.smd and float(torch.rand((), generator=generator)) < sampling.smd:
            continue
        learned = True
        yield number, _uncertain(batch, sampling.information, teacher)
    if last is not None and not learned:
        yield last[0], _uncertain(last[1], sampling.information, teacher)


@torch.no_grad()
def _uncertain(batch: Batch, sparsity: float, teacher: nn.Module | None) -> Batch:
    if teacher is None or sparsity == 0:
        return batch
    was_training = teacher.training
    logits = teacher.eval()(batch.inputs)
    teacher.train(was_training)
    examples = masks.uncertain(logits, sparsity)
    return Batch(batch.inputs[examples], batch.targets[examples], batch.loss_weight)


def _check(name: str, layer: OpticalLayer, settings: LayerSampling, measured: tuple[Tensor, Tensor] | None) -> None:
    size = layer.chip.block_size
    if settings.rank is not None and settings.rank > size:
        raise ValueError(f"a block of `{name}` has {size} singular values; give a `rank` of 1 ... {size}")
    expected = (*layer.core.blocks, size, size)
    for identity in measured or ():
        if tuple(identity.shape) != expected:
            raise ValueError(f"the identities of `{name}` have shape {expected}, got {tuple(identity.shape)}")
