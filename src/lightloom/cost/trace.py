"""One watched forward pass: how many input vectors each optical layer multiplies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves

from lightloom.common.arguments import checked
from lightloom.common.checks import shown
from lightloom.common.errors import RequestError
from lightloom.nn import Counts, OpticalLayer, optical_layers


@dataclass(frozen=True)
class LayerUse:
    """One optical layer and the work that one inference gives it."""

    name: str
    layer: OpticalLayer
    vectors: int
    """Input vectors per inference; a layer used in several places adds them up."""

    @property
    def counts(self) -> Counts:
        """Cores, calls and conversions of one inference."""
        return self.layer.core.counts(self.vectors)


@checked
@torch.no_grad()
def trace(model: nn.Module, sample: Any) -> list[LayerUse]:
    """The work of each optical layer for one inference, in the order of the model; unused layers have none.

    Args:
        model: A converted model.
        sample: One input as the model takes it: a tensor [1, ...], a tuple of them, or a mapping of keywords.
    """
    vectors: dict[str, int] = {}
    layers = optical_layers(model)
    handles = [layer.register_forward_hook(_count(vectors, name)) for name, layer in layers.items()]
    was_training = model.training
    try:
        call(model.eval(), sample)
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()
    return [LayerUse(name, layer, vectors.get(name, 0)) for name, layer in layers.items()]


def call(model: nn.Module, sample: Any) -> Any:
    """The model's answer to one sample.

    Args:
        model: Any network.
        sample: A tensor, a tuple of arguments, or a mapping of keywords; a named tuple is one argument.
    """
    if isinstance(sample, Mapping):
        return model(**sample)
    several = isinstance(sample, tuple | list) and not hasattr(sample, "_fields")
    return model(*sample) if several else model(sample)


def require_tensors(sample: object) -> None:
    """Refuse a sample that holds no tensor. Raises `RequestError`."""
    leaves = tree_leaves(dict(sample) if isinstance(sample, Mapping) else sample)
    if not any(isinstance(leaf, Tensor) for leaf in leaves):
        raise RequestError(
            f"`sample` is {shown(sample)}, which holds no tensor; give one input as the model takes it: a tensor "
            "[1, ...], a tuple of them, or a mapping of keywords."
        )


def _count(vectors: dict[str, int], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def look(module: nn.Module, inputs: Any, output: Tensor) -> None:
        assert isinstance(module, OpticalLayer)
        outputs = module.core.groups * module.core.rows
        vectors[name] = vectors.get(name, 0) + output.numel() // outputs

    return look


@contextmanager
def countable_attention() -> Iterator[None]:
    """Attention as matrix products: fused kernels of a CPU are not counted."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
