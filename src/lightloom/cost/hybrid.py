"""The cost of a network that is partly light, in two accounts.

The published one (PHOENIX, 2025) is what is left of the electronic backbone, its stem and the stages before the first
optical one: light costs nothing there, and neither does what it takes to get in and out of it, or what follows. The
other one counts it all, boundary by boundary, each of which holds the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, TypedDict

from torch import nn

from lightloom.chips import labels
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.cost import assumptions, energy, memory
from lightloom.cost.diffraction import light_cost
from lightloom.cost.electronics import GPU_BATCH_1, ElectronicProfile
from lightloom.cost.inference import Boundary
from lightloom.cost.macs import BackboneWork, count_work
from lightloom.cost.system import System
from lightloom.cost.total import Total, add_up
from lightloom.cost.workload import Workload
from lightloom.nn import TensorCore

ASSUMPTIONS = (
    "One image, or one moment of all views, at a time; stages, the frames of an optical layer, and electronics "
    "follow one another.",
    "Electronics takes the same energy and time for every multiply-add, although wide convolutions, such as those of a "
    "head, run better than the grouped ones of a backbone.",
    "Batch norms are folded into the weights or sums before them; activations, shortcut sums, pooling, resampling, "
    "what attention gathers from maps, and the choice of boxes are not counted.",
)

_CORES = (
    "Layers on tensor cores take what their chips take, with cores of their own and their weights and activations in "
    "memory; what they hold waits for light and electronics elsewhere.",
)


class Published(TypedDict):
    """What the published account holds."""

    parameters: int
    macs: int
    stages: int
    """Electronic stages that are counted."""
    energy_j: float
    latency_s: float
    note: str


_CONVERTERS = ("weight DACs", "modulators and DACs", "detectors and ADCs", "integrators", "memory")


@dataclass(frozen=True)
class HybridCost:
    """What one image takes."""

    published: Published
    electronic_parameters: int
    """Weights of the whole model that are neither phases of masks nor on tensor cores."""
    optical_parameters: int
    """Phases of all masks, and weights on tensor cores."""
    optical_paths: int
    frames: int
    """Number of frames of all diffractive layers, one after the other."""
    boundaries: list[Boundary]
    """Boundaries of the cost, from the electronics that remain to the whole model; each holds the one before."""
    parts: dict[str, float]
    """Energy in J by part, within the widest boundary."""
    latencies: dict[str, float]
    """Latency in s within the widest boundary, for the fewest and the most paths side by side."""
    constants: list[dict[str, Any]]
    assumptions: list[str]

    @property
    def total(self) -> Boundary:
        """The widest boundary."""
        return self.boundaries[-1]

    def as_dict(self, case: str = "hybrid") -> dict[str, Any]:
        """Plain values: the entry of a case in `hybrid.json`.

        Args:
            case: What to call it.
        """
        return {"case": case, **{key: value for key, value in asdict(self).items() if key != "constants"}}


@checked
def hybrid_cost(
    model: nn.Module,
    sample: Any,
    *,
    electronic: ElectronicProfile = GPU_BATCH_1,
    parallel_paths: int | None = 1,
) -> HybridCost:
    """Cost of one image, or of one moment of several cameras.

    Args:
        model: A detector, a backbone, or any other network, with optical layers or without.
        sample: One image [1, ...], or a tuple of tensors [1, ...], as the model takes it.
        electronic: The machine that runs what is not optical.
        parallel_paths: Optical paths of a layer that exist side by side: from 1, where all take turns on one modulator,
            one row of masks and one camera, to None, where each has its own.

    Raises:
        ValueError: There is more than one sample.
        RequestError: `parallel_paths` is below 1, or a map is larger than the grid of its chip.
    """
    if parallel_paths is not None and parallel_paths < 1:
        raise RequestError(f"`parallel_paths` is {parallel_paths}; give 1 or more, or None for all side by side.")
    work = count_work(model, sample)
    sums = sum(use.sums for use in work.uses)
    workload = Workload(layers=list(work.layers), light=list(work.uses), macs=work.whole_macs + sums)
    bill = add_up(workload, System(electronics=electronic, parallel_paths=parallel_paths))
    light = bill.light
    phases = sum(use.layer.optical_parameters for use in work.uses)
    owners = [layer for layer in work.layers if not layer.tied_to]
    settings = sum(p.numel() for layer in owners if layer.core is not None for p in layer.core.parameters())
    boundaries = _boundaries(work, bill)
    return HybridCost(
        published=_published(work, electronic),
        electronic_parameters=sum(parameter.numel() for parameter in model.parameters()) - phases - settings,
        optical_parameters=phases + sum(layer.weights for layer in owners),
        optical_paths=sum(use.layer.optical_paths for use in work.uses),
        frames=sum(cost.frames for cost in light),
        boundaries=boundaries,
        parts=_parts(work, bill),
        latencies={
            name: boundaries[-1].latency_s
            + sum(light_cost(use, paths).time for use in work.uses)
            - sum(cost.time for cost in light)
            for name, paths in (("one path at a time", 1), ("all paths side by side", None))
        },
        constants=_constants(bill),
        assumptions=_assumptions(work, bill),
    )


@checked
def published_accounting(backbone: nn.Module, sample: Any, *, electronic: ElectronicProfile = GPU_BATCH_1) -> Published:
    """Parameters, multiply-adds, energy and latency as published: of the electronic stages that remain, alone.

    These are the stem and the stages before the first optical one. Light, its converters, the electronics of optical
    stages, later stages, neck and head count as nothing.

    Args:
        backbone: A backbone, or a model that holds one.
        sample: One image [1, ...].
        electronic: The machine that runs it.

    Raises:
        ValueError: There is more than one sample.
        RequestError: A map is larger than the grid of its chip.
    """
    return _published(count_work(backbone, sample), electronic)


@checked
def hybrid_file(costs: Mapping[str, HybridCost]) -> dict[str, Any]:
    """The content of `hybrid.json`: every case, and the constants of all of them, each once.

    Args:
        costs: By case.
    """
    rows = [row for cost in costs.values() for row in cost.constants]
    unique = [row for number, row in enumerate(rows) if row not in rows[:number]]
    return {"cases": [cost.as_dict(case) for case, cost in costs.items()], "constants": unique}


def _published(work: BackboneWork, electronic: ElectronicProfile) -> Published:
    stages, count = work.before_light, len(work.stage_macs)
    macs = work.stem_macs + sum(work.stage_macs[:stages])
    note = (
        f"Stem and {stages} of {count} stages, those before the first optical one; light, converters, electronics of "
        "optical stages, neck and head count as nothing."
    )
    return Published(
        parameters=work.stem_parameters + sum(work.stage_parameters[:stages]),
        macs=macs,
        stages=stages,
        energy_j=electronic.spend(macs).energy_j,
        latency_s=electronic.spend(macs).latency_s,
        note=note if count else "All electronic layers: the model has no stages.",
    )


def _parts(work: BackboneWork, bill: Total) -> dict[str, float]:
    around = sum(work.stage_macs[stage] for stage in work.optical_stages)
    macs = {
        "electronic stages": work.backbone_macs - around,
        "electronics of optical stages": around,
        "sums over channels": sum(use.sums for use in work.uses),
        "neck and head": work.whole_macs - work.backbone_macs,
    }
    optics = {
        "laser light": sum(cost.light for cost in bill.light),
        "masks": sum(cost.masks for cost in bill.light),
        "modulators": sum(cost.modulators for cost in bill.light),
        "cameras": sum(cost.cameras for cost in bill.light),
        "laser wall plug": sum(cost.laser_overhead for cost in bill.light),
    }
    optics |= {name: optics.get(name, 0.0) + joules for name, joules in _of_cores(bill).items()}
    energies = {name: bill.system.electronics.spend(count).energy_j for name, count in macs.items()}
    return {
        **{name: energies[name] for name in list(energies)[:3]},
        **optics,
        "neck and head": energies["neck and head"],
    }


def _of_cores(bill: Total) -> dict[str, float]:
    """J by part of the layers on tensor cores."""
    parts = {"phase shifters": sum(bill.held.values()) + sum(bill.waiting.values())} if bill.layers else {}
    for row in bill.layers:
        for part, joules in row.parts.items():
            parts[part] = parts.get(part, 0.0) + joules
    return parts


def _boundaries(work: BackboneWork, bill: Total) -> list[Boundary]:
    parts, electronic = _parts(work, bill), bill.system.electronics
    remaining = electronic.spend(work.backbone_macs + sum(use.sums for use in work.uses)).latency_s
    masks = sum(cost.mask_time for cost in bill.light) + sum(row.compute + row.settling for row in bill.layers)
    frames = sum(cost.time for cost in bill.light) + sum(row.time + row.stall for row in bill.layers)
    ends = electronic.spend(work.whole_macs - work.backbone_macs).latency_s
    cores = bool(bill.layers)
    steps = (
        (
            "electronics that remain",
            "stem, electronic stages, convolutions beside the light, sums over channels",
            ("electronic stages", "electronics of optical stages", "sums over channels"),
            remaining,
        ),
        (
            "+ optics",
            "and laser light, masks" + (", phase shifters, cell writes" if cores else ""),
            ("laser light", "masks", "phase shifters", "cell writes"),
            remaining + masks,
        ),
        (
            "+ converters",
            "and modulators, cameras" + (", converters and memory of tensor cores" if cores else ""),
            ("modulators", "cameras", *_CONVERTERS),
            remaining + frames,
        ),
        (
            "+ laser wall plug",
            "and the electricity that the laser turns into heat",
            ("laser wall plug",),
            remaining + frames,
        ),
        ("+ neck and head", "and all other layers of the model", ("neck and head",), remaining + frames + ends),
    )
    boundaries, joules = [], 0.0
    for name, includes, added, latency in steps:
        joules += sum(parts.get(part, 0.0) for part in added)
        boundaries.append(Boundary(name, includes, joules, latency))
    return boundaries


def _constants(bill: Total) -> list[dict[str, Any]]:
    """The constants of the electronics and of every chip in use, each once."""
    electronic = bill.system.electronics
    figures = (("energy_per_mac", electronic.energy_per_mac), ("mac_rate", electronic.mac_rate))
    rows = assumptions.rows_of(electronic.name, figures)
    for optics in {use.layer.chip.name: use.layer.chip for use in bill.workload.light}.values():
        rows += assumptions.rows_of(optics.name, optics.devices)
    for chip, label in labels(row.layer.chip for row in bill.layers).items():
        rows += assumptions.rows_of(label, chip.devices)
    return rows + (assumptions.rows_of("memory", bill.system.memory) if bill.layers else [])


def _assumptions(work: BackboneWork, bill: Total) -> list[str]:
    manufactured = dict.fromkeys(_manufactured(layer.core) for layer in work.layers if layer.core is not None)
    cores = (*_CORES, *manufactured, *energy.ASSUMPTIONS, *assumptions.of_technologies(bill), *memory.ASSUMPTIONS)
    light = assumptions.of_light([use.layer.chip for use in work.uses])
    return [*ASSUMPTIONS, *(cores if work.layers else ()), *light]


def _manufactured(core: TensorCore) -> str:
    """Whose devices a core is made of: whether its weights have hidden errors."""
    chip, specimen = core.chip, core.specimen
    if specimen is None:
        return f"Tensor cores of the chip `{chip.name}` are free of hidden errors: no specimen is installed."
    if specimen.alike:
        fields = " and ".join(f"`{field}`" for field in chip.hidden_errors)
        return (
            f"Tensor cores of the chip `{chip.name}` have no hidden errors, {fields} being 0, so that all of its "
            "specimens are alike."
        )
    return (
        f"Tensor cores of the chip `{chip.name}` are made of the devices of its specimen {specimen.seed}; training "
        "and every figure have their hidden errors."
    )
