"""Convolutions on tensor cores, with every field of torch's."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.chips import Chip
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.nn.belongings import carry_over
from lightloom.nn.core import TensorCore
from lightloom.nn.layers import OpticalLayer, core_for
from lightloom.nn.sparse_backward import Geometry

_CONV_ARGUMENTS = (
    "in_channels",
    "out_channels",
    "kernel_size",
    "stride",
    "padding",
    "dilation",
    "groups",
    "padding_mode",
)


class ConvolutionLayer(OpticalLayer):
    """A convolution of one or two dimensions, with the arguments and fields of torch's."""

    electronic: ClassVar[type[nn.Conv1d] | type[nn.Conv2d]]
    """The layer of torch that it takes the place of."""
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    padding_mode: str
    _reversed_padding_repeated_twice: list[int]

    @checked
    def __init__(
        self,
        *args: Any,
        chip: Chip | str,
        name: str = "core",
        start: nn.Conv1d | nn.Conv2d | None = None,
        core: TensorCore | None = None,
        **kwargs: Any,
    ) -> None:
        start = self.electronic(*args, **kwargs) if start is None else start
        self._require(start, "start")
        super().__init__(core or core_for(start.weight, chip, start.groups, name), start.bias, start.weight.dtype)
        carry_over(start, self)

    @classmethod
    @checked
    def from_electronic(
        cls, layer: nn.Conv1d | nn.Conv2d, chip: Chip | str, name: str = "core", core: TensorCore | None = None
    ) -> Self:
        """The optical form of a convolution of torch, programmed to its weight.

        Args:
            layer: The electronic layer, of as many dimensions.
            chip: The hardware, or the name of a preset.
            name: Place on the chip.
            core: Tensor core to share as it is, in the place of one that is programmed to the weight.

        Raises:
            RequestError: The layer has another number of dimensions.
        """
        return cls(chip=chip, name=name, start=layer, core=core)

    def to_electronic(self) -> nn.Conv1d | nn.Conv2d:
        """A convolution of torch with the effective weight."""
        return self.filled(self.electronic(**self.electronic_fields()))

    @classmethod
    def _require(cls, layer: nn.Module, argument: str) -> None:
        if not isinstance(layer, cls.electronic):
            raise RequestError(
                f"`{argument}` is a {type(layer).__name__}; a {cls.__name__} is made of a `{cls.electronic.__name__}`."
            )

    def shaped(self, matrix: Tensor) -> Tensor:
        """[out_channels, in_channels / groups, *kernel_size]."""
        return matrix.view(self.out_channels, -1, *self.kernel_size)

    def electronic_fields(self) -> dict[str, Any]:
        """Arguments that make torch's convolution of this geometry, without memory yet."""
        fields = {field: getattr(self, field) for field in _CONV_ARGUMENTS}
        return {**fields, "bias": self.bias is not None, "device": "meta"}

    def geometry(self) -> tuple[Geometry, list[int] | None]:
        """The convolution as one of images, and how far these are padded first (None: as the geometry says)."""
        flat = 2 - len(self.kernel_size)  # a sequence is an image that is one pixel high
        ones, widths = (1,) * flat, [*self._reversed_padding_repeated_twice, *(0, 0) * flat]
        ahead = self.padding_mode != "zeros" or isinstance(self.padding, str)
        padding = (0, 0) if ahead else ((0,) * flat + tuple(self.padding))
        shape = (ones + self.kernel_size, ones + self.stride, padding, ones + self.dilation)
        return Geometry(*shape, self.groups), widths if ahead else None  # type: ignore[arg-type]

    def pad(self, x: Tensor, widths: list[int] | None) -> Tensor:
        """The image with the borders that the convolution does not make itself.

        Args:
            x: Images [(batch,) channels, h, w].
            widths: As `torch.nn.functional.pad` takes them; None adds nothing.
        """
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        return x if widths is None else F.pad(x, widths, mode=mode)

    def forward(self, x: Tensor) -> Tensor:
        """[(batch,) in_channels, (h,) w] -> [(batch,) out_channels, (h',) w']."""
        active, (geometry, widths) = self.active_sampler(), self.geometry()
        kernel = None if active else self.core.cached_weight().view(self.out_channels, -1, *geometry.kernel)

        def multiply(signals: Tensor, bias: Tensor | None) -> Tensor:
            sequence = len(self.kernel_size) == 1
            images = self.pad(signals.unsqueeze(-2) if sequence else signals, widths)
            if kernel is not None:
                y = F.conv2d(images, kernel, bias, *geometry[1:])
            else:
                assert active is not None
                sampler, core = active
                y = sampler.conv2d(core, images, bias, geometry)
            return y.squeeze(-2) if sequence else y

        return self.through_optics(x, multiply)


class OpticalConv2d(ConvolutionLayer, nn.Conv2d):  # type: ignore[misc, override]
    """A 2-D convolution on photonic tensor cores, in the place of `torch.nn.Conv2d`; every argument of it is taken.

    Each output position is one input vector of length in_channels / groups * height * width of the kernel, and each
    group has a matrix, so blocks, of its own.

    Args:
        *args: As `torch.nn.Conv2d`.
        chip: The hardware, or the name of a preset.
        name: Place on the chip.
        start: Layer of this geometry to take weight and bias from; None draws them as torch does.
        core: Tensor core to share as it is, in the place of one that is programmed to the weight.
        **kwargs: As `torch.nn.Conv2d`.

    Shapes: [batch, in_channels, h, w] -> [batch, out_channels, h', w'].
    """

    signal_dims: ClassVar[int] = 3
    """Dimensions of one signal: an image of channels."""
    electronic = nn.Conv2d


class OpticalConv1d(ConvolutionLayer, nn.Conv1d):  # type: ignore[misc, override]
    """A 1-D convolution on photonic tensor cores, in the place of `torch.nn.Conv1d`; every argument of it is taken.

    It is a 2-D convolution of images that are one pixel high.

    Args:
        *args: As `torch.nn.Conv1d`.
        chip: The hardware, or the name of a preset.
        name: Place on the chip.
        start: Layer of this geometry to take weight and bias from; None draws them as torch does.
        core: Tensor core to share as it is, in the place of one that is programmed to the weight.
        **kwargs: As `torch.nn.Conv1d`.

    Shapes: [batch, in_channels, length] -> [batch, out_channels, length'].
    """

    signal_dims: ClassVar[int] = 2
    """Dimensions of one signal: a sequence of channels."""
    electronic = nn.Conv1d
