"""The bill of one inference: per layer, per part, and per boundary."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from lightloom.chips import MeshChip
from lightloom.cost import energy
from lightloom.cost.trace import LayerUse, trace


@dataclass(frozen=True)
class Boundary:
    """A total, and what it counts."""

    name: str
    includes: str
    energy_j: float
    latency_s: float


@dataclass(frozen=True)
class LayerCost:
    """One optical layer."""

    name: str
    calls: int
    cores: int
    mzis: int
    energy_j: float
    """Within the widest boundary."""
    latency_s: float


@dataclass(frozen=True)
class Cost:
    """What one inference of a network takes."""

    boundaries: list[Boundary]
    """From the optics alone to the laser's wall plug; each holds the one before."""
    parts: dict[str, float]
    """J by kind of device."""
    layers: list[LayerCost]
    counts: dict[str, int]
    constants: list[dict[str, Any]]
    assumptions: list[str]

    @property
    def total(self) -> Boundary:
        """The widest boundary."""
        return self.boundaries[-1]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a run folder."""
        return asdict(self)


def account(model: nn.Module, sample: Tensor) -> Cost:
    """Cost of one inference of a converted model.

    Args:
        model: A model with optical layers, programmed: the power of heaters depends on their phases.
        sample: One input [1, ...].

    Raises:
        ValueError: The model has no optical layer.
    """
    uses = trace(model, sample)
    if not uses:
        raise ValueError("nothing to count: the model has no optical layer; use `convert` first")
    light_time = sum(energy.optical_time(use.counts, use.layer.chip) for use in uses)
    whole_time = light_time + sum(energy.converter_time(use.layer.chip) for use in uses)
    energies = {use.name: _layer_energy(use, whole_time) for use in uses}
    parts = {
        "phase shifters": sum(e.shifters for e in energies.values()),
        "laser light": sum(e.laser_light for e in energies.values()),
        "modulators and DACs": sum(e.modulators for e in energies.values()),
        "detectors and ADCs": sum(e.detectors for e in energies.values()),
        "laser wall plug": sum(e.laser_overhead for e in energies.values()),
    }
    return Cost(
        boundaries=_boundaries(parts, light_time, whole_time),
        parts=parts,
        layers=[_layer_cost(use, sum(energies[use.name])) for use in uses],
        counts={
            "cores": sum(use.counts.cores for use in uses),
            "mzis": sum(use.counts.mzis for use in uses),
            "calls": sum(use.counts.calls for use in uses),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
        constants=_constants([use.layer.chip for use in uses]),
        assumptions=list(energy.ASSUMPTIONS),
    )


def _layer_energy(use: LayerUse, whole_time: float) -> energy.LayerEnergy:
    chip = use.layer.chip
    power = energy.holding_power(use.layer.core.state(), chip)
    return energy.layer_energy(use.counts, chip, power, whole_time)


def _layer_cost(use: LayerUse, joules: float) -> LayerCost:
    time = energy.optical_time(use.counts, use.layer.chip) + energy.converter_time(use.layer.chip)
    return LayerCost(use.name, use.counts.calls, use.counts.cores, use.counts.mzis, joules, time)


def _boundaries(parts: dict[str, float], light_time: float, whole_time: float) -> list[Boundary]:
    optics = parts["phase shifters"] + parts["laser light"]
    converted = optics + parts["modulators and DACs"] + parts["detectors and ADCs"]
    plugged = converted + parts["laser wall plug"]
    return [
        Boundary("optics only", "phase shifters and laser light", optics, light_time),
        Boundary("with converters", "and modulators, DACs, detectors, ADCs", converted, whole_time),
        Boundary("with laser wall plug", "and the electricity that the laser turns into heat", plugged, whole_time),
    ]


def _constants(used: list[MeshChip]) -> list[dict[str, Any]]:
    """The constants of every chip in use, each once."""
    rows = [
        {"chip": chip.name, "name": name, **constant.model_dump()}
        for chip in {chip.name: chip for chip in used}.values()
        for name, constant in chip.devices
    ]
    return rows
