"""Which layers are matrices, of what size, and what stands for them on a chip."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear

from lightloom.chips import Chip
from lightloom.nn.attention import Attention
from lightloom.nn.convolutions import OpticalConv1d, OpticalConv2d
from lightloom.nn.core import TensorCore
from lightloom.nn.hf_conv1d import OpticalHFConv1D, is_hf_conv1d
from lightloom.nn.layers import OpticalLayer, OpticalLinear


class MatrixForm(NamedTuple):
    """The matrices that a layer multiplies by."""

    kind: type[OpticalLayer]
    """What it becomes."""
    rows: int
    """Rows of each group's matrix."""
    columns: int
    """Columns of each group's matrix."""
    groups: int


_LINEAR = (nn.Linear, NonDynamicallyQuantizableLinear)  # the second differs in nothing but its name
_CONVOLUTIONS: dict[type[nn.Module], type[OpticalLayer]] = {nn.Conv1d: OpticalConv1d, nn.Conv2d: OpticalConv2d}
_REASONS: dict[tuple[type[nn.Module], ...], str] = {
    (nn.Embedding, nn.EmbeddingBag): "a table that is looked up, not multiplied by",
    (nn.RNNBase, nn.RNNCellBase): "a recurrent layer reads its weights itself",
    (nn.modules.conv._ConvNd,): "no optical form of this convolution",
    (nn.ParameterList, nn.ParameterDict): "parameters that another module reads itself",
}


def form_of(module: nn.Module) -> MatrixForm | None:
    """The matrices of a layer, or None where it has none; a subclass may compute something else, so it has none."""
    kind = type(module)
    if kind in _LINEAR:
        assert isinstance(module, nn.Linear)
        return MatrixForm(OpticalLinear, module.out_features, module.in_features, 1)
    if kind in _CONVOLUTIONS:
        assert isinstance(module, nn.Conv1d | nn.Conv2d)
        columns = module.weight.shape[1:].numel()
        return MatrixForm(_CONVOLUTIONS[kind], module.out_channels // module.groups, columns, module.groups)
    if is_hf_conv1d(module) and isinstance(module.weight, Tensor):
        columns, rows = module.weight.shape
        return MatrixForm(OpticalHFConv1D, rows, columns, 1)
    return None


def matrix_of(module: nn.Module) -> Tensor:
    """The weight of a layer that has a form as its matrices below each other [groups * rows, columns]."""
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight.T if is_hf_conv1d(module) else weight.flatten(1)


def unsupported_reason(module: nn.Module) -> str:
    """Why a layer has no matrices."""
    if type(module) is nn.MultiheadAttention:
        return "its weights are shared with other layers, or are made anew in every pass"
    if isinstance(module, Attention):
        return "a learnt key and value, which are appended and not multiplied by"
    if is_quantised(module):
        return "quantised: its weight is packed integers"
    exact: tuple[type[nn.Module], ...] = (nn.Linear, *_CONVOLUTIONS, nn.MultiheadAttention)
    for kind in exact:
        if isinstance(module, kind):
            return f"a subclass of {kind.__name__} may compute something else"
    return next((why for kinds, why in _REASONS.items() if isinstance(module, kinds)), "no matrix form for this chip")


def is_quantised(module: nn.Module) -> bool:
    """Whether this is one of torch's quantised layers, which hold their weight as no parameter."""
    home = any(kind.__module__.startswith("torch.ao.nn.quantized.") for kind in type(module).__mro__)
    return home and (callable(getattr(module, "weight", None)) or hasattr(module, "_all_weight_values"))


def to_optical(module: nn.Module, chip: Chip, name: str, core: TensorCore | None = None) -> OpticalLayer:
    """The optical form of a layer, programmed to its weight.

    Args:
        module: The electronic layer.
        chip: The hardware.
        name: Place on the chip.
        core: Tensor core to share as it is; None programs one of its own.

    Raises:
        TypeError: The layer has no matrices.
    """
    form = form_of(module)
    if form is None:
        raise TypeError(f"layer `{name}`: {unsupported_reason(module)}")
    optical: OpticalLayer = form.kind.from_electronic(module, chip, name, core)  # type: ignore[attr-defined]
    return optical.train(module.training)
