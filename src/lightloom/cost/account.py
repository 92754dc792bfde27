"""The bill of one inference: per layer, per part, and per boundary."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.cost import energy, pcm
from lightloom.cost.trace import LayerUse, trace
from lightloom.cost.writes import writing
from lightloom.nn import MeshCore, PCMCore


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
    cells: int
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
    written = {use.name: writing(use.layer.core) for use in uses if isinstance(use.layer.core, PCMCore)}
    light_time = sum(energy.optical_time(use.counts, use.layer.chip) for use in uses)
    light_time += sum(seconds for _, seconds in written.values())
    whole_time = light_time + sum(energy.converter_time(use.layer.chip) for use in uses)
    energies = {use.name: _layer_energy(use, whole_time, written) for use in uses}
    devices: dict[str, tuple[type[MeshCore] | type[PCMCore], float]] = {
        "phase shifters": (MeshCore, sum(e.shifters for e in energies.values())),
        "cell writes": (PCMCore, sum(e.writes for e in energies.values())),
    }
    parts = {
        **{part: joules for part, (kind, joules) in devices.items() if _any(uses, kind)},
        "laser light": sum(e.laser_light for e in energies.values()),
        "modulators and DACs": sum(e.modulators for e in energies.values()),
        "detectors and ADCs": sum(e.detectors for e in energies.values()),
        "laser wall plug": sum(e.laser_overhead for e in energies.values()),
    }
    return Cost(
        boundaries=_boundaries(parts, light_time, whole_time),
        parts=parts,
        layers=[_layer_cost(use, sum(energies[use.name]), written) for use in uses],
        counts={
            "cores": sum(use.counts.cores for use in uses),
            "mzis": sum(use.counts.mzis for use in uses),
            "cells": sum(use.counts.cells for use in uses),
            "calls": sum(use.counts.calls for use in uses),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
        constants=_constants([use.layer.chip for use in uses]),
        assumptions=[
            *energy.ASSUMPTIONS,
            *(energy.MESH_ASSUMPTIONS if _any(uses, MeshCore) else ()),
            *(pcm.ASSUMPTIONS if _any(uses, PCMCore) else ()),
        ],
    )


def _any(uses: list[LayerUse], kind: type[MeshCore] | type[PCMCore]) -> bool:
    return any(isinstance(use.layer.core, kind) for use in uses)


def _layer_energy(use: LayerUse, whole_time: float, written: dict[str, tuple[float, float]]) -> energy.LayerEnergy:
    core = use.layer.core
    if isinstance(core, PCMCore):
        return pcm.layer_energy(use.counts, core.chip, written[use.name][0])
    if isinstance(core, MeshCore):
        return energy.layer_energy(use.counts, core.chip, energy.holding_power(core.state(), core.chip), whole_time)
    raise TypeError(f"layer `{use.name}` is of a technology without a cost model: {type(core).__name__}")


def _layer_cost(use: LayerUse, joules: float, written: dict[str, tuple[float, float]]) -> LayerCost:
    time = energy.optical_time(use.counts, use.layer.chip) + energy.converter_time(use.layer.chip)
    time += written.get(use.name, (0.0, 0.0))[1]
    return LayerCost(use.name, use.counts.calls, use.counts.cores, use.counts.mzis, use.counts.cells, joules, time)


def _boundaries(parts: dict[str, float], light_time: float, whole_time: float) -> list[Boundary]:
    optics = parts["laser light"] + parts.get("phase shifters", 0.0) + parts.get("cell writes", 0.0)
    inside = " and ".join(part for part in ("phase shifters", "cell writes", "laser light") if part in parts)
    converted = optics + parts["modulators and DACs"] + parts["detectors and ADCs"]
    plugged = converted + parts["laser wall plug"]
    return [
        Boundary("optics only", inside, optics, light_time),
        Boundary("with converters", "and modulators, DACs, detectors, ADCs", converted, whole_time),
        Boundary("with laser wall plug", "and the electricity that the laser turns into heat", plugged, whole_time),
    ]


def _constants(used: list[Chip]) -> list[dict[str, Any]]:
    """The constants of every chip in use, each once."""
    rows = [
        {"chip": chip.name, "name": name, **constant.model_dump()}
        for chip in {chip.name: chip for chip in used}.values()
        for name, constant in chip.devices
    ]
    return rows
