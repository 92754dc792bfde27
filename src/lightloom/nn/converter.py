"""The converters of an optical layer, and the static ranges that they may have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.physics import converters


class Converter(nn.Module):
    """Rounds signals on their way into light, or out of it, see `physics.converters.convert`.

    Args:
        bits: Width; None is exact, and then there is no range either.
        dims: Dimensions of one signal: 1 of a vector, 3 of an image of channels.
        intensity: Whether light carries the value by its power, which has no sign.
        static: Whether full scale is one number, measured once by `calibrate_ranges`, instead of that of each signal.
    """

    full_scale: Tensor | None
    """The static range, a scalar that is saved with the weights; 0 before it is measured."""

    def __init__(self, bits: int | None, dims: int, *, intensity: bool = False, static: bool = False) -> None:
        super().__init__()
        self.bits, self.dims, self.intensity = bits, dims, intensity
        self.static = static and bits is not None
        self.register_buffer("full_scale", torch.zeros(()) if self.static else None)
        self.measured = False
        """Whether the static range is known."""
        self.observing = False
        """Whether signals pass exactly, and widen the static range."""

    def forward(self, x: Tensor) -> Tensor:
        """Round x, of any shape whose last `dims` dimensions are one signal.

        Raises:
            RequestError: The range is static and was not measured.
        """
        if self.bits is None:
            return x
        if self.full_scale is None:
            return converters.convert(x, self.bits, dims=self.dims, intensity=self.intensity)
        if self.observing:
            self._observe(x)
            return x
        if not self.measured:
            raise RequestError(
                "The converters of this chip have a static range, which was not measured yet. Measure it on data by "
                "`nn.calibrate_ranges(model, batches)`, or choose a chip with `range=dynamic`."
            )
        full_scale = self.full_scale.to(x.dtype)
        return converters.convert(x, self.bits, dims=self.dims, intensity=self.intensity, full_scale=full_scale)

    @torch.no_grad()
    def _observe(self, x: Tensor) -> None:
        assert self.full_scale is not None
        if not x.numel():
            return
        largest = x.detach().abs().amax().to(self.full_scale)
        if not torch.isfinite(largest):
            raise RequestError("A signal is NaN or Inf, so it has no range; look for what made it on the way here.")
        self.full_scale.copy_(torch.maximum(self.full_scale, largest))
        self.measured = bool(self.full_scale > 0)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        if self.full_scale is not None:
            self.measured = bool(self.full_scale > 0)

    def extra_repr(self) -> str:
        """Width and range, for printing a model."""
        if self.bits is None:
            return "exact"
        if self.full_scale is None:
            return f"{self.bits} bits"
        return f"{self.bits} bits, full scale {float(self.full_scale):.3g}" if self.measured else f"{self.bits} bits"


def calibrate_ranges(model: nn.Module, batches: Iterable[Any]) -> None:
    """Measure the static range of every converter of a model: the largest magnitude of a signal in these batches.

    The model runs in evaluation mode on the batches, its converters exact, and ranges that were measured before are
    forgotten. Real converters are set like this: once, on data that is like what is to come.

    Args:
        model: With optical layers.
        batches: Each a tensor, a tuple of arguments, or a mapping of keywords, as the model takes them.

    Raises:
        RequestError: No converter has a static range, there is no batch, or a converter saw no signal but 0.
    """
    statics = static_converters(model)
    if not statics:
        raise RequestError(
            "No converter of this model has a static range. Convert it to a chip with bits and `range='static'`: "
            "`chip.replace(range='static', input_bits=8)`."
        )
    was_training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with observing(model), torch.no_grad():
            count = 0
            for batch in batches:
                _call(model, batch)
                count += 1
    finally:
        for module, training in was_training.items():
            module.training = training
    if not count:
        raise RequestError("Ranges are measured on data, and there was no batch; give at least one.")
    silent = [name for name, converter in statics.items() if not converter.measured]
    if silent:
        raise RequestError(
            f"The converters {', '.join(f'`{name}`' for name in silent)} saw no signal, or only 0, in these batches; "
            "give inputs that reach them."
        )


@contextmanager
def observing(model: nn.Module) -> Iterator[None]:
    """Within the block, signals pass the converters of static range exactly and are what their range is made of."""
    statics = static_converters(model).values()
    for converter in statics:
        assert converter.full_scale is not None
        converter.full_scale.zero_()
        converter.measured, converter.observing = False, True
    try:
        yield
    finally:
        for converter in statics:
            converter.observing = False


def static_converters(model: nn.Module) -> dict[str, Converter]:
    """The converters of static range, by name."""
    return {name: part for name, part in model.named_modules() if isinstance(part, Converter) and part.static}


def _call(model: nn.Module, batch: Any) -> None:
    if isinstance(batch, dict):
        model(**batch)
    elif isinstance(batch, tuple | list):
        model(*batch)
    else:
        model(batch)
