"""A whole network on the bench: the tensor cores of every technology behind instruments of its own."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar

from torch import nn

from lightloom.chips import technology_of
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.nn import TensorCore, optical_layers


class InstrumentedCores(ABC):
    """Tensor cores of one technology and the instrument that they stand behind.

    A technology names its subclass as the facet `bench` of its `chips.Technology`.
    """

    cores: Mapping[str, Any]
    """The tensor cores by layer, in the order in which they stand on the instrument."""
    instrument: Any
    """What calibration and mapping see of the cores; it counts its `calls`."""

    @classmethod
    @abstractmethod
    def connect(cls, cores: Mapping[str, Any], *, readout_std: float, seed: int) -> Sequence[Self]:
        """Put cores of this technology, with their specimen's devices, behind simulated instruments.

        Args:
            cores: The tensor cores by layer, at least one; their chips may differ.
            readout_std: Standard deviation of the noise of each measured value, relative to full scale.
            seed: Seed of that noise.
        """


Bench = TypeVar("Bench", bound=InstrumentedCores)


@checked
def instruments_for(
    model: nn.Module,
    kind: type[Bench] = InstrumentedCores,  # type: ignore[assignment]  # what `Bench` is where nothing is said
    *,
    readout_std: float = 0.0,
    seed: int = 0,
) -> list[Bench]:
    """Put every tensor core of a converted model, with its specimen's devices, behind simulated instruments.

    Args:
        model: A converted model, installed on a specimen.
        kind: Class of the benches to set up, as `lab.mesh.network.InstrumentedMeshes`; the default takes the cores of
            every technology.
        readout_std: Standard deviation of the noise of each measured value, relative to full scale.
        seed: Seed of that noise.

    Returns:
        The benches, technology after technology, each in the order of the model.

    Raises:
        RequestError: The model has no such core, or its technology has no bench.
    """
    benches: list[Bench] = []
    for cores in _by_technology(model).values():
        chip = next(iter(cores.values())).chip
        if not (technology_of(chip).bench or kind is InstrumentedCores):
            continue
        implementation = technology_of(chip).load("bench", InstrumentedCores)
        if issubclass(implementation, kind):
            benches.extend(implementation.connect(cores, readout_std=readout_std, seed=seed))
    if not benches:
        raise RequestError(
            f"There is nothing to put on the bench as `{kind.__name__}`: no layer of the model is on such a chip. "
            "Convert it first: `nn.convert(model, chip).model`."
        )
    return benches


def _by_technology(model: nn.Module) -> dict[str, dict[str, TensorCore]]:
    """The tensor cores by technology and layer; one that several layers share stands under the first of them."""
    names: dict[TensorCore, str] = {}
    for name, layer in optical_layers(model).items():
        names.setdefault(layer.core, name)
    groups: dict[str, dict[str, TensorCore]] = {}
    for core, name in names.items():
        groups.setdefault(core.chip.technology, {})[name] = core
    return groups
