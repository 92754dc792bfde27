"""The bill of one inference: per layer, per part, and per boundary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from lightloom.chips import Chip
from lightloom.chips.arguments import core_chip
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.cost import assumptions, tables, total
from lightloom.cost.diffraction import diffractive_layers
from lightloom.cost.system import SCHEDULES, System
from lightloom.cost.trace import require_tensors
from lightloom.cost.workload import Workload, copy_of, layers_of, trace_workload
from lightloom.nn.plan import plan
from lightloom.nn.rules import Placement, Rules

_BEYOND = 1e60  # J or s
_MEND = "Mend the constants of the chip, such as a loss, a rate or an efficiency far from any device's."


@dataclass(frozen=True)
class Boundary:
    """A total, and what it counts."""

    name: str
    """Name of the boundary."""
    includes: str
    """What it counts, in words."""
    energy_j: float
    """Energy within it in J."""
    latency_s: float
    """Latency within it in s."""


@dataclass(frozen=True)
class LayerCost:
    """The share of one layer on tensor cores, or of a diffractive one, in a bill."""

    name: str
    """Name of the layer."""
    calls: int
    """Evaluations of one core per inference; frames of a diffractive layer."""
    cores: int
    """Cores that work on it at the same time; paths of a diffractive layer."""
    mzis: int
    """MZIs in these cores."""
    cells: int
    """Cells in these cores that hold a weight."""
    energy_j: float
    """Energy in J within the widest boundary, without the electronics around it."""
    latency_s: float
    """Latency in s."""
    chip: str = ""
    """Name of the chip that it is on."""
    tied_to: str = ""
    """The layer whose weights it uses."""
    vectors: int = 0
    """Vectors that it multiplies in one inference."""
    macs: int = 0
    """Multiply-adds of one inference."""
    rounds: int = 0
    """Times that work is handed out to the cores, per batch."""
    reconfigurations: float = 0.0
    """Tiles that are set, per inference."""
    reconfiguration_s: float = 0.0
    """The part of the latency in s in which they are set."""
    parts: dict[str, float] = field(default_factory=dict)
    """Energy in J by kind of device."""


@dataclass(frozen=True)
class Cost:
    """What one inference of a network takes.

    Energies and counts are those of one inference. Where a system takes several between two reconfigurations, a latency
    is that of all of them, since each waits for the others.
    """

    boundaries: list[Boundary]
    """Boundaries of the cost, from the optics alone to memory and electronics; each holds the one before."""
    parts: dict[str, float]
    """Energy in J by kind of device, within the widest boundary."""
    layers: list[LayerCost]
    counts: dict[str, int]
    constants: list[dict[str, Any]]
    assumptions: list[str]
    schedule: str
    """What was stationary."""
    boundary: str
    """Name of the widest boundary, which the figures below are within."""
    throughput_per_s: float
    """Inferences per second."""
    power_w: float
    tops: float
    """Multiplications and additions of the layers on chips, 10^12 per second."""
    tops_per_w: float
    efficiency: dict[str, float]
    """Operations as in `tops` per W, by boundary."""
    area: dict[str, float]
    """Area in m^2 by kind of device."""
    area_m2: float
    schedules: dict[str, dict[str, float]]
    """Energy, latency, throughput and reconfigurations with each schedule, all else alike."""
    link_budget: list[dict[str, Any]]
    """The walk from laser to detector of each chip, see `link.budget`."""
    reconfiguration: dict[str, float]
    """Tiles set ("times", per inference), "time_s" of the latency, and "energy_j" with what holds phases meanwhile."""
    memory: dict[str, dict[str, float]]
    """"bytes" and "energy_j" by memory, and "contents": bytes of DRAM and buffer by what they are."""
    converters: dict[str, float]
    """Conversions: "dac" of inputs, "adc" of outputs, "settings" of phases."""
    electronics: dict[str, Any]
    """Multiply-adds and other results of what is on no chip, their energy and latency, and on which machine."""
    references: list[dict[str, Any]]
    """The whole network on electronics, and its energy and time over those of the chips."""
    system: dict[str, Any]
    """How the chips were run."""

    @property
    def total(self) -> Boundary:
        """The widest boundary."""
        return self.boundaries[-1]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as stored in a run folder."""
        return asdict(self)


@checked
def estimate(
    model: nn.Module,
    sample: Any,
    *,
    chip: Chip | str | None = None,
    places: Placement = (),
    skip: Rules = None,
    system: System | None = None,
) -> Cost:
    """Cost of one inference of a converted model, or of an electronic one on the chip that it would go on.

    Nothing is programmed, and nothing is multiplied. Where a model is converted, the power of heaters and the writes of
    cells are those of its settings; where it is not, they are expected values, and the assumptions say so.

    Args:
        model: Any network. It is left as it was.
        sample: One input as the model takes it: a tensor [1, ...], a tuple of them, or a mapping of keywords.
        chip: What an electronic model would go on, or a preset's name, see `nn.plan`; None counts the layers that are
            on chips already.
        places: Rules that send layers to chips of their own, or keep them electronic.
        skip: Rules that keep layers electronic.
        system: How the chips are run; None is every layer on cores of its own, weights in place.

    Raises:
        RequestError: The model has no layer on a chip, or there is more than one sample.
    """
    system = System() if system is None else system
    hardware = None if chip is None else core_chip(chip)
    _check_one(sample)
    workload = _trace(model, sample, hardware, places, skip)
    try:
        sums = {kind: total.add_up(workload, system.replace(schedule=kind)) for kind in SCHEDULES}
    except (OverflowError, ZeroDivisionError) as error:
        raise RequestError(f"The cost of one inference is out of all numbers ({error}). {_MEND}") from error
    current = sums[system.schedule]
    widest = current.boundaries[-1]
    macs = sum(layer.macs for layer in workload.layers)
    _check_finite(current.boundaries)
    rate = system.inferences / widest.latency if widest.latency else 0.0
    area = tables.area(current)
    return Cost(
        boundaries=[Boundary(*boundary) for boundary in current.boundaries],
        parts=current.parts,
        layers=[LayerCost(**row) for row in tables.layer_rows(current)],
        counts=tables.counts(current),
        constants=assumptions.constants(current),
        assumptions=assumptions.assumptions(current),
        schedule=system.schedule,
        boundary=widest.name,
        throughput_per_s=rate,
        power_w=widest.energy * rate,
        tops=2 * macs * rate / 1e12,
        tops_per_w=2 * macs / widest.energy / 1e12 if widest.energy else 0.0,
        efficiency={row.name: 2 * macs / row.energy / 1e12 for row in current.boundaries if row.energy},
        area=area,
        area_m2=sum(area.values()),
        schedules={kind: tables.summary(bill) for kind, bill in sums.items()},
        link_budget=tables.link_budgets(current),
        reconfiguration=tables.reconfiguration(current),
        memory=tables.memory_rows(current),
        converters=tables.converters(current),
        electronics=tables.electronics(current),
        references=tables.references(current),
        system=system.model_dump(mode="json", exclude={"memory": True, "electronics": True}),
    )


def _trace(model: nn.Module, sample: Any, chip: Chip | None, places: Placement, skip: Rules) -> Workload:
    planned = []
    if chip is not None or places:
        # the plan changes its model, so it gets one of its own, which shares the weights
        placed = plan(copy_of(model, meta=False)[0], chip, skip=skip, places=places, inplace=True)
        model, planned = placed.model, placed.layers
    elif skip is not None:
        raise RequestError("`skip` chooses what goes on a chip; give the `chip`, or `places`, too.")
    layers = layers_of(model, planned)
    if layers or diffractive_layers(model):
        return trace_workload(model, layers, sample)
    if chip is None and not places:
        raise RequestError(
            "Nothing to count: the model has no optical layer. Use `convert` first, or give the `chip` that it would "
            "go on."
        )
    reasons = sorted({layer.reason for layer in planned if layer.reason}) or ["it has none with weights"]
    raise RequestError(f"Nothing to count: no layer of the model goes on a chip ({'; '.join(reasons)}).")


def _check_finite(boundaries: Sequence[total.BoundaryRow]) -> None:
    """Refuse a bill that no constant of a device gives: what is infinite, or more than the universe has."""
    for row in boundaries:
        for name, value in (("energy", row.energy), ("latency", row.latency)):
            if not (math.isfinite(value) and value < _BEYOND):
                raise RequestError(
                    f"The {name} of one inference comes out as {value:g} ({row.name}), which no device has. {_MEND}"
                )


def _check_one(sample: Any) -> None:
    require_tensors(sample)
    for tensor in tree_leaves(dict(sample) if hasattr(sample, "keys") else sample):
        if isinstance(tensor, Tensor) and tensor.dim() > 0 and len(tensor) != 1:
            raise RequestError(
                f"Costs are those of one inference, and the sample has shape {tuple(tensor.shape)}; give one alone, "
                "[1, ...], such as `sample[:1]`; for how many pass between two reconfigurations, set "
                "`System(inferences=...)`."
            )
