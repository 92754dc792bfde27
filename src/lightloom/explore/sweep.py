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
from lightloom.cost import estimate
from lightloom.data import Samples
from lightloom.explore import table
from lightloom.explore.config import ExploreConfig
from lightloom.explore.engine import Engine, run
from lightloom.explore.point import Group, Job, Point, accuracy, drawn_from, first_inputs, identify
from lightloom.explore.space import DesignPoint, Space, space
from lightloom.explore.store import Store

DEVICES = "Specimens differ in their devices alone; networks are programmed as trained and not tuned to a specimen."


@checked
def explore(
    model: nn.Module | Mapping[str, nn.Module],
    chips: Chip | str | Sequence[Chip | str],
    samples: Samples,
    config: ExploreConfig | None = None,
    *,
    folder: Path | None = None,
    engine: Engine | None = None,
    source: str = "",
) -> dict[str, Any]:
    """Measure a network on many specimens of many chips, and what each chip costs.

    All points are checked before the first is measured. A point that fails is named in `failed`, and the others go on.

    Args:
        model: A trained classifier of images, or several by name, which are then an axis of their own.
        chips: Where the sweep starts, by name or as they are; several are an axis of their own.
        samples: Labelled images that accuracy is measured on, the same at every point.
        config: What is varied and judged; None measures the given chips as they are.
        folder: Where finished points are kept, so that a sweep that was stopped or enlarged goes on.
        engine: Where points are measured; None is this process.
        source: Where the networks come from, for the table.

    Returns:
        What `table.write` writes, see docs/explore.md; points in the order of the sweep.

    Raises:
        RequestError: Something asked for does not fit; nothing was measured then.
        WorkError: The disk refuses, or the cluster is lost; finished points are kept.
    """
    config, engine = ExploreConfig() if config is None else config, Engine() if engine is None else engine
    networks = dict(model) if isinstance(model, Mapping) else {"network": model}
    _check(networks, samples)
    bases = chips if isinstance(chips, Sequence) and not isinstance(chips, str) else [chips]
    designs = space(config, [core_chip(chip, "chips") for chip in bases], list(networks))
    job = Job(networks, samples, config.specimens, config.seed, config.skip, engine.device, engine.threads)
    rehearse(job, designs.designs, config.boundary)
    names = dict.fromkeys(design.network for design in designs.designs)
    electronic = {name: accuracy(networks[name], samples) for name in names}
    points = [identify(job, design) for design in designs.designs]
    store = Store(folder)
    errors = _measure(job, points, store, engine)
    finished = [store.rows[point.id] for point in points if point.id in store.rows]
    return {
        "source": source,
        **table.summary(finished, config, electronic),
        "axes": designs.axes,
        "failed": [{**point.described(), "error": errors[point.id]} for point in points if point.id in errors],
        "notes": [*designs.notes, *store.broken],
        "assumptions": _assumptions(designs, finished),
    }


def rehearse(job: Job, designs: Sequence[DesignPoint], boundary: str | None) -> None:
    """Cost every network once on its first chip, which programs nothing: layers, shapes and names are checked.

    Args:
        job: What all points share.
        designs: What is to be measured.
        boundary: Name of the boundary of the cost that points are judged by; None is the widest.

    Raises:
        RequestError: A rule of `skip` matches nothing, or there is no such boundary.
    """
    for design in {design.network: design for design in reversed(designs)}.values():
        model = job.networks[design.network]
        sample = first_inputs(job.samples).to(next(model.parameters()).device)
        with drawn_from(job.seed, "explore", "rehearsal"):
            bill = estimate(model, sample, chip=design.chip, skip=list(job.skip) or None, system=design.system)
        table.check_boundary([part.name for part in bill.boundaries], boundary)


def _check(networks: Mapping[str, nn.Module], samples: Samples) -> None:
    if not networks:
        raise RequestError("There is no network to explore; give one.")
    if len(samples) == 0:
        raise RequestError("There is no sample to measure accuracy on; give at least one.")


def _measure(job: Job, points: Sequence[Point], store: Store, engine: Engine) -> dict[str, str]:
    """Measure what the store lacks; the errors of points that failed, by identity."""
    ids = [point.id for point in points]
    store.read(ids)
    errors: dict[str, str] = {}
    finished = len(store.finished(ids))
    with follow("explore", len(ids), shown=engine.progress and is_main()) as report:
        for broken in store.broken:
            report(finished, f"{broken} It is measured again.")
        groups = _groups([point for point in points if point.id not in store.rows], store.light())
        for point, outcome in run(job, groups, engine):
            if isinstance(outcome, str):
                errors[point.id] = outcome
            else:
                store.keep(outcome)
            finished += 1
            report(finished, point.design.label if isinstance(outcome, dict) else f"{point.design.label}: {outcome}")
    return errors


def _groups(points: Sequence[Point], accuracies: Mapping[str, list[float]]) -> list[Group]:
    """Points that differ in their system alone come together: their accuracies are the same."""
    together: dict[str, list[Point]] = {}
    for point in points:
        together.setdefault(point.light, []).append(point)
    return [
        Group(tuple(alike), tuple(accuracies[light]) if light in accuracies else None)
        for light, alike in together.items()
    ]


def _assumptions(designs: Space, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys([DEVICES, *designs.assumptions, *(text for row in rows for text in row["assumptions"])]))
