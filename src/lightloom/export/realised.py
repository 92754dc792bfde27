"""A network as its chip makes it, in plain torch: effective weights, and the rounding of the converters."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.nn import OpticalLayer, optical_layers, to_electronic
from lightloom.nn.copies import copy_of


class Realised(nn.Module):
    """An optical layer with its devices worked out: convert, multiply by a fixed matrix, convert, add the bias.

    Args:
        layer: The optical layer, on its specimen, which is used up; dynamic noise is drawn once and for all.
    """

    bias: Tensor | None

    def __init__(self, layer: OpticalLayer) -> None:
        super().__init__()
        self.narrow, layer.narrow = layer.narrow, None  # what light computes is float32 around half precision too
        self.product = to_electronic(layer, inplace=True)
        if isinstance(self.product.bias, Tensor):  # others may share it, and keep theirs as it is
            self.product.bias = nn.Parameter(self.product.bias.detach().clone())
        if self.narrow is not None:
            self.product.float()
        self.input_converter, self.output_converter = layer.input_converter, layer.output_converter
        bias = None
        if self.output_converter.bits is not None and isinstance(self.product.bias, Tensor):
            # the bias is added behind the converter; a layer may need one, so it keeps zeros
            bias = self.product.bias.detach().clone().view(-1, *_after(self.product))
            self.product.bias.detach().zero_()
        self.register_buffer("bias", bias)

    def __getattr__(self, name: str) -> Any:
        """What the layer has else, such as its stride, for networks that read it."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name in ("product", "bias"):
                raise
            return getattr(self.product, name)

    def forward(self, x: Tensor) -> Tensor:
        """Compute as the layer that this stands for."""
        dtype = x.dtype
        x = self.input_converter(x if self.narrow is None else x.float())
        y: Tensor = self.output_converter(self.product(x))
        y = y if self.bias is None else y + self.bias
        return y if self.narrow is None else y.to(dtype)


def realised_network(model: nn.Module) -> nn.Module:
    """A copy of a converted model without any physics in it, in evaluation mode, that computes the same.

    Raises:
        RequestError: No layer of the model is on a chip.
    """
    if not optical_layers(model):
        raise RequestError(
            "No layer of this network is on a chip. Put it there first: `nn.convert(model, chip).model`."
        )
    model = copy_of(model).eval().requires_grad_(False)
    replacements = {layer: Realised(layer).eval().requires_grad_(False) for layer in optical_layers(model).values()}
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):  # a module that is used twice is replaced twice
            if child in replacements:
                setattr(parent, name, replacements[child])
    return replacements.get(model, model)  # type: ignore[call-overload, no-any-return]


def _after(layer: nn.Module) -> list[int]:
    """Ones for the dimensions of an output that stand behind its channels."""
    convolutions = {nn.Conv1d: 1, nn.Conv2d: 2}
    return [1] * next((number for kind, number in convolutions.items() if isinstance(layer, kind)), 0)
