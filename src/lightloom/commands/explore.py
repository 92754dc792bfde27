"""Sweeps over chips, and one layer at a time, for the network of a recipe or a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError
from lightloom.common.files import reserve, write_json
from lightloom.common.hold import hold
from lightloom.common.marks import claim
from lightloom.common.seeds import named_generator
from lightloom.config import RunConfig, override
from lightloom.data import ImageSet
from lightloom.data.splits import stratified_draw
from lightloom.explore import ExploreConfig, check, explore, sensitivity, space, write
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run import run
from lightloom.pipeline.run_folder import RunFolder, new_folder
from lightloom.recipes import resolve
from lightloom.report.pages.explore import write_explore_report
from lightloom.tasks import task_of

TECHNOLOGIES = ("chip=l2ight,noems,elight", "chip.block_size=4,8,16,32", "chip.weight_bits=4,6,8")
"""What is varied where nothing is said: technology, block size, and bits of a phase."""


def explore_network(
    source: str,
    changes: Sequence[str] = (),
    *,
    over: Sequence[str] = (),
    out: Path | None = None,
    images: int | None = None,
    workers: int = 0,
    scheduler: str | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Measure many specimens of many chips with one trained network, and write table and report.

    Args:
        source: Name of a recipe, whose network is trained first, or the folder of a run.
        changes: `key=value` changes to its config; its seed is that of the first specimen.
        over: Axes, such as `chip.block_size=4,8,16`; none is `TECHNOLOGIES`.
        out: Folder of the sweep; one that was begun goes on. None is the next free one under `runs/`.
        images: How many of the test images are looked at; None is all.
        workers: Processes on this machine; 0 works in this one.
        scheduler: Address of a running Dask scheduler in their place.
        **options: Other fields of `lightloom.explore.ExploreConfig`.

    Returns:
        What `lightloom.explore.explore` does, `run` and `report` added.

    Raises:
        RequestError: The network is none of a classifier, or something else asked for does not fit.
    """
    config = _config(source, changes)
    given = {"axes": tuple(over) or TECHNOLOGIES, "skip": config.electronic, "system": config.system}
    search = ExploreConfig.parse({**given, "seed": config.seed, **options})
    space(search, [config.chip], [config.model.name])  # a mistake is told before anything is trained
    _check_images(images)
    place = _place(out, f"explore {_title(source)}", "explore.json", "explore.csv", "report.html")
    with hold(place):
        return _explore(source, changes, config, search, place, images, workers, scheduler)


def _explore(
    source: str,
    changes: Sequence[str],
    config: Any,
    search: ExploreConfig,
    place: Path,
    images: int | None,
    workers: int,
    scheduler: str | None,
) -> dict[str, Any]:
    context = _trained(source, config, place)
    result = explore(
        {config.model.name: context.network("electronic")},
        config.chip,
        _test_images(context, images),
        search,
        folder=place,
        workers=workers,
        scheduler=scheduler,
        device=config.device,
        source=_title(source),
    )
    result["notes"] += _to_note(config, changes)
    write(place, result)
    check(result)
    return {**result, "run": str(place), "report": str(write_explore_report(place))}


def scan_layers(
    source: str,
    changes: Sequence[str] = (),
    *,
    out: Path | None = None,
    images: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Put one layer at a time on the chip, and propose which to leave electronic.

    Args:
        source: Name of a recipe, whose network is trained first, or the folder of a run.
        changes: `key=value` changes to its config; its seed is that of the first specimen.
        out: Folder for `sensitivity.json` and the report; a scan that was begun goes on. None is the next free one
            under `runs/`.
        images: How many of the test images are looked at; None is all.
        **options: As `lightloom.explore.sensitivity`.

    Raises:
        RequestError: The network is none of a classifier, or something else asked for does not fit.
    """
    config = _config(source, changes)
    _check_images(images)
    place = _place(out, f"sensitivity {_title(source)}", "sensitivity.json", "sensitivity-state.json", "report.html")
    with hold(place):
        return _scan(source, changes, config, place, images, options)


def _scan(
    source: str,
    changes: Sequence[str],
    config: Any,
    place: Path,
    images: int | None,
    options: Mapping[str, Any],
) -> dict[str, Any]:
    context = _trained(source, config, place)
    scan = sensitivity(
        context.network("electronic"),
        config.chip,
        _test_images(context, images),
        skip=config.electronic,
        seed=config.seed,
        state=place / "sensitivity-state.json",
        **options,
    )
    result = {"source": _title(source), "chip": config.chip.name, "network": config.model.name, **scan.as_dict()}
    result["assumptions"] = [*_to_note(config, changes), *result["assumptions"]]
    write_json(place / "sensitivity.json", result)
    return {**result, "run": str(place), "report": str(write_explore_report(place)), "text": str(scan)}


def _place(out: Path | None, title: str, *names: str) -> Path:
    """The folder to write to, with none of somebody else's files where ours go."""
    place = new_folder(title, "exploration") if out is None else claim(out, "exploration")
    reserve(*(place / name for name in names))
    return place


def _title(source: str) -> str:
    """A page that is sent on names the run, and not where it lies."""
    path = Path(source)
    return path.resolve().name if path.is_dir() else source


def _config(source: str, changes: Sequence[str]) -> Any:
    """Of a run or a recipe, changed; a run has to have trained its network."""
    if not Path(source).is_dir():
        return _classifier(resolve(source, changes), source)
    folder = RunFolder.open(Path(source))
    config = _classifier(override(folder.config, changes), source)
    if "train" not in folder.done:
        raise RequestError(f"The run in `{source}` has trained no network; begin with `lightloom train {source}`.")
    return config


def _trained(source: str, config: Any, place: Path) -> RunContext:
    """The network of a run, or that of a recipe, trained beside the sweep unless that is done already."""
    folder = Path(source)
    if not folder.is_dir():
        folder = place / "network"
        run(config.replace(stages=("train",)), folder, resume=True)
    context = RunContext(RunFolder.open(folder))
    context.config = config
    return context


def _classifier(config: RunConfig, source: str) -> Any:
    """Sweeps count right answers, so the network has to tell classes apart."""
    if not task_of(config).classifies or "train" not in config.stages:
        raise RequestError(f"`{source}` trains no classifier to put on chips; `onchip/digits` and its like do.")
    return config


def _to_note(config: Any, changes: Sequence[str]) -> list[str]:
    """What else decides the result: changes, and what a measurement on one chip at a time leaves aside."""
    notes = [f"Changed from the source: {', '.join(f'`{change}`' for change in changes)}."] if changes else []
    if config.places:
        notes.append("`places` is left aside: all layers are measured on one chip, but for those in `electronic`.")
    return notes


def _check_images(most: int | None) -> None:
    if most is not None and most < 1:
        raise RequestError(f"`images` is {most}; look at 1 image at least.")


def _test_images(context: RunContext, most: int | None) -> ImageSet:
    """All of them, or so many, stratified by class, the same in every run."""
    test: ImageSet = context.data.test
    if most is None or most >= len(test):
        return test
    drawn, _ = stratified_draw(test.labels, most, named_generator(0, "explore", "images"))
    return ImageSet(test.images[drawn], test.labels[drawn])
