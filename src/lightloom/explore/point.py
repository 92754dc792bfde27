"""One point of a sweep: what decides its result, and the measurement."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from lightloom.chips import Chip
from lightloom.common.processes import best_device
from lightloom.common.seeds import named_seed
from lightloom.cost import estimate
from lightloom.data import Samples
from lightloom.explore import digest
from lightloom.explore.space import DesignPoint, plain
from lightloom.explore.yields import accuracies
from lightloom.nn import calibrate_ranges, convert, static_converters
from lightloom.physics import compiled

# torch has one random stream and one number of threads in a process, and workers of a cluster may be threads
_ONE_AT_A_TIME = threading.Lock()

RANGED = 256
"""Number of samples, the first ones, that static ranges of converters are measured on."""

FORMAT = 2
"""Version of the files of points."""


@dataclass(frozen=True)
class Job:
    """What all points of a sweep share."""

    networks: Mapping[str, nn.Module]
    samples: Samples
    specimens: int
    seed: int
    """Specimens have the seeds `seed`, `seed + 1`, ...: the same at every point, so that points compare."""
    skip: tuple[str, ...] = ()
    device: str = "cpu"
    threads: int = 1
    """Threads of torch while a point is measured; sums may round in another order with another number."""
    memory: int = 2**30
    """Bytes that a population of specimens may take."""
    kernels: compiled.Backend = field(default_factory=compiled.backend)
    """What the numbers are made with, on every worker: vectors of equal singular values are others with another."""

    @property
    def seeds(self) -> range:
        """One per specimen."""
        return range(self.seed, self.seed + self.specimens)

    @cached_property
    def digests(self) -> dict[str, str]:
        """Digest of every network, by its name."""
        return {name: digest.of_model(model) for name, model in self.networks.items()}

    @cached_property
    def samples_digest(self) -> str:
        """Digest of the samples."""
        return digest.of_samples(self.samples)


@dataclass(frozen=True)
class Point:
    """A design of the sweep with its identity."""

    id: str
    light: str
    """Identity of its accuracies alone, which the system does not change."""
    design: DesignPoint

    def described(self) -> dict[str, Any]:
        """First columns of the point in the results table."""
        design = self.design
        return {
            "id": self.id,
            "label": design.label,
            "settings": plain(design.settings),
            "network": design.network,
            "chip": design.chip.name,
            "technology": design.chip.technology,
        }


@dataclass(frozen=True)
class Group:
    """Points of one network on one chip, whose accuracies are measured once."""

    points: tuple[Point, ...]
    accuracies: tuple[float, ...] | None = None
    """Accuracies of the group, where they are known already; else None."""


Outcome = tuple[Point, dict[str, Any] | str]
"""A point with what was measured, or with the error that it ended in."""


def identify(job: Job, design: DesignPoint) -> Point:
    """The identity of a design in a sweep: whatever decides its result is in it.

    Args:
        job: What all points of the sweep share.
        design: The network, the chip and the system.
    """
    light = {
        "lightloom": digest.VERSION,
        "format": FORMAT,
        "kernels": job.kernels,
        "network": job.digests[design.network],
        "samples": job.samples_digest,
        "specimens": job.specimens,
        "seed": job.seed,
        "skip": sorted(job.skip),
        "chip": design.chip.model_dump(mode="json"),
    }
    system = design.system.model_dump(mode="json")
    return Point(digest.of_values({**light, "system": system}), digest.of_values(light), design)


def measure(job: Job, group: Group) -> list[Outcome]:
    """Measure the points of a group; an error of one is its outcome, and the others go on.

    The numbers depend on job and group alone, not on what was measured before or on how many processes measure.

    Args:
        job: What all points of the sweep share.
        group: Points of one network on one chip.
    """
    design = group.points[0].design
    with _ONE_AT_A_TIME, _threads(job.threads), drawn_from(job.seed, "explore", group.points[0].light):
        try:
            if job.kernels == "compiled" and not compiled.available():
                compiled.build()  # this worker stands on a machine of its own
            with compiled.use(job.kernels):
                model = on_chip(job, design.network, design.chip)
                shares = _accuracies(job, group, model)
                return [_outcome(job, point, model, shares) for point in group.points]
        except Exception as error:  # it ends in the table by name, and other points go on
            return [(point, explain(error)) for point in group.points]


def explain(error: BaseException) -> str:
    """One line for the table."""
    first = next(iter(str(error).splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def on_chip(job: Job, network: str, chip: Chip) -> nn.Module:
    """A network on a chip, in evaluation mode, where the job works.

    Args:
        job: What all points of the sweep share.
        network: Name of one of its networks.
        chip: The hardware.
    """
    device = best_device(job.device)
    model = convert(job.networks[network], chip, skip=list(job.skip) or None).model.to(device).eval()
    if static_converters(model):
        calibrate_ranges(model, [first_inputs(job.samples, RANGED).to(device)])
    return model


@torch.no_grad()
def accuracy(model: nn.Module, samples: Samples, chunk: int = 500) -> float:
    """Share of samples whose largest output is that of their label; training mode is left as it was.

    Args:
        model: A classifier.
        samples: Inputs and class numbers.
        chunk: Samples in a batch.
    """
    was_training, device, right = model.training, next(model.parameters()).device, 0
    model.eval()
    for numbers in torch.split(torch.arange(len(samples)), chunk):
        outputs = model(samples.inputs[numbers.to(samples.inputs.device)].to(device))
        labels = samples.targets[numbers.to(samples.targets.device)].to(device)
        right += int((outputs.argmax(1) == labels).sum())
    model.train(was_training)
    return right / len(samples)


def first_inputs(samples: Samples, count: int = 1) -> Tensor:
    """The first inputs [count, ...], or all where there are fewer.

    Args:
        samples: Inputs and targets.
        count: How many.
    """
    numbers = torch.arange(min(count, len(samples)), device=samples.inputs.device)
    first: Tensor = samples.inputs[numbers]
    return first


@contextmanager
def drawn_from(seed: int, *names: str) -> Iterator[None]:
    """Noise that is new at every use is drawn from here, and torch's own stream stays as it was.

    Args:
        seed: Seed of the sweep.
        *names: Names of the part that draws.
    """
    with torch.random.fork_rng():
        torch.manual_seed(named_seed(seed, *names))
        yield


def _accuracies(job: Job, group: Group, model: nn.Module) -> Sequence[float]:
    if group.accuracies is not None:
        return group.accuracies
    samples = job.samples.to(next(model.parameters()).device)
    shares: list[float] = accuracies(model, job.seeds, samples, memory=job.memory, progress=False).tolist()
    return shares


def _outcome(job: Job, point: Point, model: nn.Module, shares: Sequence[float]) -> Outcome:
    sample = first_inputs(job.samples).to(next(model.parameters()).device)
    try:
        bill = estimate(model, sample, system=point.design.system)
    except Exception as error:  # as in `measure`
        return point, explain(error)
    return point, {
        **point.described(),
        "light": point.light,
        "accuracies": list(shares),
        "boundaries": [dataclasses.asdict(boundary) for boundary in bill.boundaries],
        "throughput_per_s": bill.throughput_per_s,
        "area_m2": bill.area_m2,
        "assumptions": list(bill.assumptions),
    }


@contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
