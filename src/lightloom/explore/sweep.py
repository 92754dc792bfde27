"""The sweep: networks and chips in, one table of accuracy against cost out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lightloom.chips import Chip
from lightloom.chips.arguments import core_chip
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.common.processes import is_main
from lightloom.common.progress import follow
from lightloom.cost import account
from lightloom.data import Samples
from lightloom.explore import engine, table
from lightloom.explore.config import ExploreConfig
from lightloom.explore.point import Group, Job, Point, accuracy, drawn_from, first_inputs, identify
from lightloom.explore.space import DesignPoint, Space, space
from lightloom.explore.store import Store

CALIBRATED = (
    "The static phase bias of meshes is taken as calibrated away (phase_bias = 0 where no axis says otherwise): no "
    "uncalibrated mesh computes anything of use."
)
UNCALIBRATED = "Meshes keep the static phase bias of their chip: nothing was calibrated."
DEVICES = "Specimens differ in their devices alone; networks are programmed as trained and not tuned to a specimen."


@checked
def explore(
    model: nn.Module | Mapping[str, nn.Module],
    chips: Chip | str | Sequence[Chip | str],
    samples: Samples,
    search: ExploreConfig | None = None,
    *,
    folder: Path | None = None,
    workers: int = 0,
    scheduler: str | None = None,
    device: str = "cpu",
    threads: int = 1,
    source: str = "",
    progress: bool = True,
) -> dict[str, Any]:
    """Measure a network on many specimens of many chips, and what each chip costs.

    All points are checked before the first is measured. A point that fails is named in `failed`, and the others go on.

    Args:
        model: A trained classifier of images, or several by name, which are then an axis of their own.
        chips: Where the sweep starts, by name or as they are; several are an axis of their own.
        samples: Labelled images that accuracy is measured on, the same at every point.
        search: What is varied and judged; None measures the given chips as they are.
        folder: Where finished points are kept, so that a sweep that was stopped or enlarged goes on.
        workers: Processes on this machine; 0 works in this one.
        scheduler: Address of a running Dask scheduler in their place.
        device: As a run takes it: `cpu`, or anything else for an accelerator where there is one.
        threads: Of torch, per point.
        source: Where the networks come from, for the table.
        progress: Show how far it is.

    Returns:
        What `table.write` writes, see docs/explore.md; points in the order of the sweep.

    Raises:
        RequestError: Something asked for does not fit; nothing was measured then.
        WorkError: The disk refuses, or the cluster is lost; finished points are kept.
    """
    search, where = ExploreConfig() if search is None else search, engine.Engine(workers, scheduler)
    networks = dict(model) if isinstance(model, Mapping) else {"network": model}
    _check(networks, samples, threads)
    several = chips if isinstance(chips, Sequence) and not isinstance(chips, str) else [chips]
    found = space(search, [core_chip(chip, "chips") for chip in several], list(networks))
    job = Job(networks, samples, search.specimens, search.seed, search.skip, device, threads)
    rehearse(job, found.designs, search.boundary)
    electronic = {name: accuracy(networks[name], samples) for name in dict.fromkeys(p.network for p in found.designs)}
    points = [identify(job, design) for design in found.designs]
    store = Store(folder)
    errors = _measure(job, points, store, where, progress)
    finished = [store.rows[point.id] for point in points if point.id in store.rows]
    return {
        "source": source,
        **table.summary(finished, search, electronic),
        "axes": found.axes,
        "failed": [{**point.described(), "error": errors[point.id]} for point in points if point.id in errors],
        "notes": [*found.notes, *store.broken],
        "assumptions": _assumptions(found, search.calibrated, finished),
    }


def rehearse(job: Job, designs: Sequence[DesignPoint], boundary: str | None) -> None:
    """Cost every network once on its first chip, which programs nothing: layers, shapes and names are checked.

    Raises:
        RequestError: A rule of `skip` matches nothing, or there is no such boundary.
    """
    for design in {design.network: design for design in reversed(designs)}.values():
        model = job.networks[design.network]
        sample = first_inputs(job.samples).to(next(model.parameters()).device)
        with drawn_from(job.seed, "explore", "rehearsal"):
            bill = account(model, sample, chip=design.chip, skip=list(job.skip) or None, system=design.system)
        table.check_boundary([part.name for part in bill.boundaries], boundary)


def _check(networks: Mapping[str, nn.Module], samples: Samples, threads: int) -> None:
    if not networks:
        raise RequestError("There is no network to explore; give one.")
    if len(samples) == 0:
        raise RequestError("There is no sample to measure accuracy on; give at least one.")
    if threads < 1:
        raise RequestError(f"`threads` is {threads}; give at least 1.")


def _measure(job: Job, points: Sequence[Point], store: Store, where: engine.Engine, progress: bool) -> dict[str, str]:
    """Measure what the store lacks; the errors of points that failed, by identity."""
    ids = [point.id for point in points]
    store.read(ids)
    errors: dict[str, str] = {}
    done = len(store.finished(ids))
    with follow("explore", len(ids), shown=progress and is_main()) as report:
        for broken in store.broken:
            report(done, f"{broken} It is measured again.")
        groups = _groups([point for point in points if point.id not in store.rows], store.light())
        for point, outcome in engine.run(job, groups, where):
            if isinstance(outcome, str):
                errors[point.id] = outcome
            else:
                store.keep(outcome)
            done += 1
            report(done, point.design.label if isinstance(outcome, dict) else f"{point.design.label}: {outcome}")
    return errors


def _groups(points: Sequence[Point], known: Mapping[str, list[float]]) -> list[Group]:
    """Points that differ in their system alone come together: their accuracies are the same."""
    together: dict[str, list[Point]] = {}
    for point in points:
        together.setdefault(point.light, []).append(point)
    return [Group(tuple(same), tuple(known[light]) if light in known else None) for light, same in together.items()]


def _assumptions(found: Space, calibrated: bool, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    meshes = any(design.chip.technology == "mesh" for design in found.designs)
    own = [DEVICES, *([CALIBRATED if calibrated else UNCALIBRATED] if meshes else [])]
    return list(dict.fromkeys([*own, *(text for row in rows for text in row["assumptions"])]))
