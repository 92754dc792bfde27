"""The steps that light takes through a network: weights, absorbers, and linear operations on the field."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeGuard, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_input, conv2d_weight

from lightloom.common.errors import RequestError
from lightloom.nn.absorber import SaturableAbsorber
from lightloom.nn.layers import OpticalLayer
from lightloom.nn.sparse_backward import Geometry
from lightloom.physics.absorber import parameter_slopes

WeightLayer = nn.Linear | nn.Conv2d  # their optical forms among them
_FIELD_OPERATIONS = (nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Flatten, nn.Identity)
_Pairs = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
_DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class WeightStep:
    """A linear layer: the field times W, back the error times W^T.

    Args:
        layer: Holds the weight and the converters, if there are any.
    """

    def __init__(self, layer: WeightLayer) -> None:
        self.layer = layer

    def operands(self) -> tuple[Tensor, ...]:
        """The weight as the layer makes it now, with its graph."""
        return (self.layer.effective_weight() if isinstance(self.layer, OpticalLayer) else self.layer.weight,)

    def modulate(self, field: Tensor) -> Tensor:
        """What is modulated onto the light that meets the weights."""
        if not isinstance(self.layer, OpticalLayer):
            return field
        return cast(Tensor, self.layer.input_converter(field))

    def detect(self, field: Tensor) -> Tensor:
        """What is read of the light behind the weights."""
        return cast(Tensor, self.layer.output_converter(field)) if isinstance(self.layer, OpticalLayer) else field

    def multiply(self, signals: Tensor, weight: Tensor) -> Tensor:
        """The field behind the weights, W x [..., outputs].

        Args:
            signals: What is modulated onto the light [..., inputs].
            weight: What the modulators show [outputs, inputs].
        """
        return F.linear(signals, weight)

    def transposed(self, backward_field: Tensor, weight: Tensor, signals: Tensor) -> Tensor:
        """The error field in front of the weights, W^T b, in the shape of the signals.

        Args:
            backward_field: Error field from the other side [..., outputs].
            weight: What the modulators show [outputs, inputs].
            signals: What entered, for its shape.
        """
        return backward_field @ weight

    def weight_gradient(self, signals: Tensor, backward_field: Tensor) -> Tensor:
        """The gradient of each weight: the sum over examples and positions of its signal times its error, shaped as it.

        Args:
            signals: What is modulated onto the light [..., inputs].
            backward_field: Error field from the other side [..., outputs].
        """
        return backward_field.reshape(-1, backward_field.shape[-1]).t() @ signals.reshape(-1, signals.shape[-1])


class ConvolutionStep(WeightStep):
    """A convolution; see `WeightStep`. Signals are [batch, channels, h, w]."""

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__(layer)
        self.widths: list[int] | None = None
        padding: Any = layer.padding
        if layer.padding_mode != "zeros" or isinstance(padding, str):
            self.widths, padding = list(layer._reversed_padding_repeated_twice), (0, 0)
        self.mode = layer.padding_mode.replace("zeros", "constant")
        kernel, stride, dilation = cast(_Pairs, (layer.kernel_size, layer.stride, layer.dilation))
        self.geometry = Geometry(kernel, stride, padding, dilation, layer.groups)

    def pad(self, signals: Tensor) -> Tensor:
        """The image with the borders that the convolution does not make itself."""
        return signals if self.widths is None else F.pad(signals, self.widths, mode=self.mode)

    def multiply(self, signals: Tensor, weight: Tensor) -> Tensor:
        """The field behind the kernels [batch, outputs, h', w'].

        Args:
            signals: Images [batch, channels, h, w].
            weight: Kernels [outputs, channels / groups, height, width].
        """
        return F.conv2d(self.pad(signals), weight, None, *self.geometry[1:])

    def transposed(self, backward_field: Tensor, weight: Tensor, signals: Tensor) -> Tensor:
        """The error field in front of the kernels [batch, channels, h, w].

        Args:
            backward_field: Error field from the other side [batch, outputs, h', w'].
            weight: Kernels [outputs, channels / groups, height, width].
            signals: What entered, for its shape.
        """
        padded = self.pad(signals).shape
        back: Tensor = conv2d_input(padded, weight, backward_field, *self.geometry[1:])  # type: ignore[no-untyped-call]
        return back if self.widths is None else transpose(self.pad, signals, back)

    def weight_gradient(self, signals: Tensor, backward_field: Tensor) -> Tensor:
        """The gradient of the kernels [outputs, channels / groups, height, width].

        Args:
            signals: Images [batch, channels, h, w].
            backward_field: Error field from the other side [batch, outputs, h', w'].
        """
        shape = (backward_field.shape[1], signals.shape[1] // self.geometry.groups, *self.geometry.kernel)
        gradient: Tensor = conv2d_weight(self.pad(signals), shape, backward_field, *self.geometry[1:])  # type: ignore[no-untyped-call]
        return gradient


class AbsorberStep:
    """A saturable absorber, which the error passes as `layer.gradient` says.

    Args:
        layer: The absorber.
        crossed: Whether the error light saturates it too.
    """

    def __init__(self, layer: SaturableAbsorber, crossed: bool) -> None:
        self.layer = layer
        self.crossed = crossed
        self.medium = None if layer.curve is not None else layer.medium()
        numbers = () if self.medium is None else self.medium[:2]
        trains = any(isinstance(number, Tensor) for number in numbers)
        self._operands = numbers if trains else ()
        self.keeps_field = crossed or trains
        """Whether the way back needs the field that entered, not only what it does to a weak beam."""

    def operands(self) -> tuple[Tensor | float, ...]:
        """Optical depth and saturation intensity where one of them trains; else nothing."""
        return self._operands

    @property
    def saturation(self) -> float:
        """Intensity at which it saturates; of a measured one, at which half of its largest field leaves."""
        if self.medium is None:
            return self.layer.half_transmission_field**2
        return float(torch.as_tensor(self.medium.saturation).detach())

    def probe(self, backward_field: Tensor) -> Tensor | float:
        """Intensity by which error light of this field saturates it."""
        return backward_field.square() if self.crossed else 0.0

    def slopes(self, field: Tensor, backward_field: Tensor) -> tuple[Tensor, Tensor]:
        """Sums of the error times what the output owes to optical depth and saturation intensity.

        Args:
            field: Field that entered.
            backward_field: Error field that meets it from the other side.
        """
        assert self.medium is not None
        by_depth, by_saturation = parameter_slopes(field, self.medium, "amplitude", self.probe(backward_field))
        return (by_depth * backward_field).sum(), (by_saturation * backward_field).sum()


class DropoutStep(NamedTuple):
    """Dropout: a mask that light meets both ways."""

    layer: nn.Module

    def mask(self, field: Tensor) -> Tensor:
        """What the field is multiplied by; in evaluation 1."""
        mask: Tensor = self.layer(torch.ones_like(field)) if self.layer.training else field.new_ones(())
        return mask


class FieldStep(NamedTuple):
    """A fixed linear operation on the field."""

    layer: nn.Module


Step = WeightStep | AbsorberStep | DropoutStep | FieldStep


def transpose(operation: Callable[[Tensor], Tensor], like: Tensor, backward_field: Tensor) -> Tensor:
    """What the transpose of a linear operation makes of a backward field.

    Args:
        operation: Takes fields shaped `like`.
        like: A field as it entered the operation, for its shape.
        backward_field: Field shaped as what the operation makes.
    """
    with torch.enable_grad():
        dark = like.new_zeros(()).expand(like.shape).requires_grad_()
        (back,) = torch.autograd.grad(operation(dark), dark, backward_field)
    return back


def parse(model: nn.Sequential, crossed: bool) -> tuple[Step, ...]:
    """The steps of a network in the order of the light, nested sequences opened.

    Args:
        model: Weight layers without bias, absorbers of fields, linear operations on the field, dropout.
        crossed: Whether the error light is strong enough to saturate absorbers.

    Raises:
        RequestError: A layer is something else.
    """
    return tuple(_step(name, layer, crossed) for name, layer in layers_in_turn(model))


def is_sequence(layer: object) -> TypeGuard[nn.Sequential]:
    """Whether light passes the layers of this in turn, and nothing else happens in it."""
    return isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward


def layers_in_turn(model: nn.Sequential, before: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Names and layers as light passes them, nested sequences opened; one that stands there twice comes twice.

    Args:
        model: A sequence, which may hold others.
        before: What comes before every name.
    """
    for name, layer in model._modules.items():  # `named_children` leaves out a layer that comes a second time
        if is_sequence(layer):
            yield from layers_in_turn(layer, f"{before}{name}.")
        elif layer is not None:
            yield f"{before}{name}", layer


def _step(name: str, layer: nn.Module, crossed: bool) -> Step:
    if isinstance(layer, WeightLayer):
        if layer.bias is not None:
            raise RequestError(f"Layer `{name}` has a bias, which light does not carry; make it with `bias=False`.")
        if isinstance(layer, OpticalLayer) and layer.sampler is not None:
            raise RequestError(
                f"Layer `{name}` samples its gradient, which here light measures; set its `sampler` to None."
            )
        return ConvolutionStep(layer) if isinstance(layer, nn.Conv2d) else WeightStep(layer)
    if isinstance(layer, SaturableAbsorber):
        return _absorber(name, layer, crossed)
    if isinstance(layer, _DROPOUTS):
        return DropoutStep(layer)
    if isinstance(layer, _FIELD_OPERATIONS) or getattr(layer, "linear_field", False) is True:
        if any(parameter.requires_grad for parameter in layer.parameters()):
            raise RequestError(f"Layer `{name}` ({type(layer).__name__}) trains; here only weights and absorbers do.")
        return FieldStep(layer)
    raise RequestError(
        f"Layer `{name}` is a {type(layer).__name__}, which light does not do. An all-optical network is a sequence of "
        "`Linear`, `Conv2d`, `OpticalLinear` and `OpticalConv2d` without bias, `SaturableAbsorber`, average pooling, "
        "`Flatten`, `Dropout`, `Identity`, and modules whose attribute `linear_field` is True."
    )


def _absorber(name: str, layer: SaturableAbsorber, crossed: bool) -> AbsorberStep:
    if layer.encoding != "amplitude":
        raise RequestError(
            f'Absorber `{name}` takes intensities; light that interferes has an amplitude: set `encoding="amplitude"`.'
        )
    crossed = crossed and layer.gradient == "probe"
    if crossed and layer.curve is not None:
        raise RequestError(
            f"Absorber `{name}` is a measured curve, which says nothing about a second beam; set `probe_intensity` to "
            "0, or take an absorber of known optical depth."
        )
    return AbsorberStep(layer, crossed)
