"""A network of which each layer is on the chip or electronic, as asked, without programming anything again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.common.errors import RequestError
from lightloom.nn import OpticalLayer, calibrate_ranges, convert, optical_layers, plan, static_converters


class LayerSelector:
    """Both forms of every layer, and which of them is in place.

    Args:
        model: Electronic; it stays as it is.
        chip: The hardware.
        inputs: [batch, ...], on which static ranges of converters are measured where the chip has them.
        skip: Names or globs of layers that stay electronic.

    Raises:
        RequestError: No layer goes on the chip, or a rule of `skip` matches nothing.
    """

    def __init__(self, model: nn.Module, chip: Chip, inputs: Tensor, skip: Sequence[str] = ()) -> None:
        self.chip = chip
        electronic = plan(model, chip, skip=list(skip) or None).model.eval()
        optical = convert(electronic, chip, skip=list(skip) or None).model.eval()
        self.layers: dict[str, OpticalLayer] = optical_layers(optical)
        if not self.layers:
            raise RequestError("No layer of the network goes on the chip, so there is nothing to scan.")
        if static_converters(optical):
            calibrate_ranges(optical, [inputs])
        twins = {name: electronic.get_submodule(name) for name in self.layers}
        self._holder = nn.Sequential(optical)  # the root may itself be a layer
        names = {layer: name for name, layer in self.layers.items()}
        self._forms = {name: (twins[name], layer) for name, layer in self.layers.items()}
        self._sites = [
            (parent, place, names[child])
            for parent in self._holder.modules()
            for place, child in parent._modules.items()  # a module used twice is in two places
            if isinstance(child, OpticalLayer)
        ]

    @property
    def model(self) -> nn.Module:
        """The network as it is switched now."""
        return self._holder[0]

    def put(self, names: Iterable[str]) -> nn.Module:
        """The network with these layers on the chip and the others electronic."""
        on_chip = set(names)
        for parent, place, name in self._sites:
            parent.register_module(place, self._forms[name][name in on_chip])
        return self.model

    def install(self, seed: int) -> None:
        """Move the layers that are on the chip now onto the specimen with this seed."""
        specimen = self.chip.specimen(seed)
        for layer in optical_layers(self.model).values():
            layer.core.install(specimen)
