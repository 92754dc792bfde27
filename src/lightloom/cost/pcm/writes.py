"""What writing the cells of a PCM chip takes: levels, pulses, energy, time, and how long the cells last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.chips import PCMChip
from lightloom.common.arguments import checked
from lightloom.nn import PCMCore, cores
from lightloom.physics.pcm import schedule, wear
from lightloom.physics.pcm import writes as counting

SHARE = 0.01
"""Share of a layer's cells: when so many have failed, its accuracy is expected to suffer."""


@dataclass(frozen=True)
class LayerWrites:
    """What one inference writes in one layer."""

    name: str
    """Name of the layer."""
    arrays: int
    """Number of arrays."""
    turns: int
    """Number of times that an array is rewritten."""
    weights: int
    """Number of weights."""
    levels: int
    """Steps of level, both cells of every pair together."""
    pulses: float
    """Pulses on all cells."""
    energy_j: float
    """Energy of writing in J."""
    latency_s: float
    """Time of writing in s."""
    worst_cell: float
    """Pulses on the cell that is written most: what wears out first."""
    worst_pair: int
    """Steps of level on the pair that is written most; the published figure."""


@dataclass(frozen=True)
class ModelWrites:
    """What one inference of a network writes, in one state and one order."""

    state: str
    """State of the network, such as "programmed" or "learned"."""
    order: str
    """Order of the turns: "as it comes" or "reordered"."""
    layers: list[LayerWrites]
    """What each layer writes."""
    pulses: dict[str, Tensor]
    """Pulses per inference of each cell [A, 2, k, k], by layer."""
    endurance: float
    """Cycles that a cell takes."""

    @property
    def levels(self) -> int:
        """Steps of level per inference."""
        return sum(layer.levels for layer in self.layers)

    @property
    def energy_j(self) -> float:
        """Energy of writing per inference."""
        return sum(layer.energy_j for layer in self.layers)

    @property
    def worst_cell(self) -> float:
        """Pulses per inference on the cell that is written most."""
        return max(layer.worst_cell for layer in self.layers)

    def lifetime(self, share: float = 0.0) -> float:
        """Inferences until the first cell fails, or a share of the cells that hold weights; inf if never."""
        every = torch.cat([pulses.flatten() for pulses in self.pulses.values()])
        return wear.lifetime(every, self.endurance, share)

    def failed(self, inferences: float) -> int:
        """Cells that have failed after so many inferences, each at the endurance of the chip."""
        cycles = inferences * wear.CYCLES_PER_PULSE
        return sum(int((rate * cycles >= self.endurance).sum()) for rate in self.pulses.values())

    def as_dict(self, *, rate: float, inferences: float = 0.0) -> dict[str, Any]:
        """Plain values, as stored in a run folder; a life without end is None.

        Args:
            rate: Inferences per second.
            inferences: That the chip is to serve.
        """
        first = self.lifetime()
        served = {"cells_failed": self.failed(inferences), "fails_meanwhile": first < inferences} if inferences else {}
        return {
            "state": self.state,
            "order": self.order,
            "levels": self.levels,
            "energy_j": self.energy_j,
            "latency_s": sum(layer.latency_s for layer in self.layers),
            "worst_cell": self.worst_cell,
            "worst_pair": max(layer.worst_pair for layer in self.layers),
            "first_failure": _finite(first),
            "first_failure_years": _finite(wear.years(first, rate)),
            "one_percent_failed": _finite(self.lifetime(SHARE)),
            **served,
            "layers": [asdict(layer) for layer in self.layers],
        }


@checked
def count_writes(model: nn.Module, *, state: str = "present", order: str = "as it comes") -> ModelWrites:
    """Count what every PCM core of a model writes per inference, in the schedule that it follows now.

    Args:
        model: A converted model.
        state: What to call its state.
        order: What to call its order.

    Raises:
        ValueError: The model has no PCM core.
    """
    layers = cores(model, PCMCore)
    if not layers:
        raise ValueError("there are no writes to count: the model has no layer on a PCM chip; use `convert` first")
    rows, pulses = [], {}
    for name, core in layers.items():
        writes = count(core)
        pulses[name] = wear.pulses(writes, core.chip.write_model)
        rows.append(_layer(name, core, writes, pulses[name]))
    endurance = min(core.chip.devices.endurance.value for core in layers.values())
    return ModelWrites(state, order, rows, pulses, endurance)


def count(core: PCMCore) -> counting.Writes:
    """Writes of every cell of a core, in its present schedule."""
    return counting.count(schedule.sequence(core.levels().cpu(), core.schedule_on_cpu()), core.chip.start)


def writing(core: PCMCore) -> tuple[float, float]:
    """Energy in J and time in s that writing a core takes for one inference."""
    writes = count(core)
    return _energy(writes, core.chip), _latency(writes, core.chip)


@checked
def index_bits(model: nn.Module) -> int:
    """Bits that the present orders of all PCM cores take."""
    return sum(
        schedule.index_bits(core.schedule_on_cpu(), core.chip.sharing, core.chip.scope, groups=core.groups)
        for core in cores(model, PCMCore).values()
    )


@checked
def weight_bits(model: nn.Module) -> int:
    """Bits that the levels and signs of all PCM cores take."""
    crossbars = cores(model, PCMCore).values()
    return sum(core.matrix.numel() * ((core.chip.levels - 1).bit_length() + 1) for core in crossbars)


@checked
def wear_maps(cases: Sequence[ModelWrites]) -> dict[str, Tensor]:
    """The pulses [2, k, k] per inference of the array with the cell that is written most, for every case and layer."""
    return {
        f"{name}/{case.state}/{case.order}": pulses[int(pulses.flatten(1).amax(1).argmax())].float().contiguous()
        for case in cases
        for name, pulses in sorted(case.pulses.items())
    }


def _layer(name: str, core: PCMCore, writes: counting.Writes, pulses: Tensor) -> LayerWrites:
    groups, p, turns = core.blocks
    return LayerWrites(
        name=name,
        arrays=groups * p,
        turns=turns,
        weights=core.matrix.numel(),
        levels=counting.total(writes),
        pulses=float(pulses.sum()),
        energy_j=_energy(writes, core.chip),
        latency_s=_latency(writes, core.chip),
        worst_cell=float(pulses.max()),
        worst_pair=counting.worst_pair(writes),
    )


def _energy(writes: counting.Writes, chip: PCMChip) -> float:
    devices = chip.devices
    return wear.energy(writes, chip.write_model, devices.amorphise_energy.value, devices.crystallise_energy.value)


def _latency(writes: counting.Writes, chip: PCMChip) -> float:
    devices = chip.devices
    return wear.latency(writes, chip.write_model, devices.amorphise_time.value, devices.crystallise_time.value)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
