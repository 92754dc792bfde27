"""Sweeps over chips, and one layer at a time, for the network of a recipe or a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightloom import schemas
from lightloom.common.errors import RequestError
from lightloom.common.files import reserve
from lightloom.common.hold import hold
from lightloom.common.marks import claim
from lightloom.common.seeds import named_generator
from lightloom.config import RunConfig, override
from lightloom.data import ImageSet
from lightloom.data.splits import stratified_draw
from lightloom.explore import Engine, ExploreConfig, SensitivityConfig, check, explore, sensitivity, space, write
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
    engine: Engine | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Measure many specimens of many chips with one trained network, and write table and report.

    Args:
        source: Name of a recipe, whose network is trained first, or the folder of a run.
        changes: `key=value` changes to its config; its seed is that of the first specimen, its device that of the
            engine.
        over: Axes, such as `chip.block_size=4,8,16`; none is `TECHNOLOGIES`.
        out: Folder of the sweep; one that was begun goes on. None is the next free one under `runs/`.
        images: How many of the test images are looked at; None is all.
        engine: Where points are measured; None is this process.
        **options: Other fields of `lightloom.explore.ExploreConfig`.

    Returns:
        What `lightloom.explore.explore` does, `run` and `report` added.

    Raises:
        RequestError: The network is none of a classifier, or something else asked for does not fit.
    """
    request = _Request.read(source, changes, images)
    fields = {"axes": tuple(over) or TECHNOLOGIES, "skip": request.config.electronic, "system": request.config.system}
    config = ExploreConfig.parse({**fields, "seed": request.config.seed, **options})
    space(config, [request.config.chip], [request.config.model.name])  # a mistake is told before anything is trained
    engine = replace(Engine() if engine is None else engine, device=request.config.device)
    folder = _folder(out, f"explore {request.title}", "explore.json", "explore.csv", "report.html")
    with hold(folder):
        return _explore(request, config, folder, engine)


def _explore(request: _Request, config: ExploreConfig, folder: Path, engine: Engine) -> dict[str, Any]:
    context = request.trained(folder)
    result = explore(
        {request.config.model.name: context.network("electronic")},
        request.config.chip,
        request.test_images(context),
        config,
        folder=folder,
        engine=engine,
        source=request.title,
    )
    result["notes"] += request.notes()
    write(folder, result)
    check(result)
    return {**result, "run": str(folder), "report": str(write_explore_report(folder))}


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
        **options: Other fields of `lightloom.explore.SensitivityConfig`.

    Raises:
        RequestError: The network is none of a classifier, or something else asked for does not fit.
    """
    request = _Request.read(source, changes, images)
    fields = {"skip": request.config.electronic, "seed": request.config.seed}
    config = SensitivityConfig.parse({**fields, **options})
    title = f"sensitivity {request.title}"
    folder = _folder(out, title, "sensitivity.json", "sensitivity-state.json", "report.html")
    with hold(folder):
        return _scan(request, config, folder)


def _scan(request: _Request, config: SensitivityConfig, folder: Path) -> dict[str, Any]:
    context = request.trained(folder)
    scan = sensitivity(
        context.network("electronic"),
        request.config.chip,
        request.test_images(context),
        config,
        state=folder / "sensitivity-state.json",
    )
    names = {"source": request.title, "chip": request.config.chip.name, "network": request.config.model.name}
    result = {**names, **scan.as_dict()}
    result["assumptions"] = [*request.notes(), *result["assumptions"]]
    schemas.write_plain(folder / "sensitivity.json", schemas.Sensitivity, result)
    return {**result, "run": str(folder), "report": str(write_explore_report(folder)), "text": str(scan)}


@dataclass(frozen=True)
class _Request:
    """A request to measure a network on some images."""

    source: str
    changes: Sequence[str]
    config: Any
    images: int | None

    @classmethod
    def read(cls, source: str, changes: Sequence[str], images: int | None) -> _Request:
        if images is not None and images < 1:
            raise RequestError(f"`images` is {images}; look at 1 image at least.")
        return cls(source, changes, _config(source, changes), images)

    @property
    def title(self) -> str:
        """A page that is sent on names the run, and not where it lies."""
        path = Path(self.source)
        return path.resolve().name if path.is_dir() else self.source

    def trained(self, folder: Path) -> RunContext:
        """The network of a run, or that of a recipe, trained beside the sweep unless that is done already."""
        run_folder = Path(self.source)
        if not run_folder.is_dir():
            run_folder = folder / "network"
            run(self.config.replace(stages=("train",)), run_folder, resume=True)
        context = RunContext(RunFolder.open(run_folder))
        context.config = self.config
        return context

    def test_images(self, context: RunContext) -> ImageSet:
        """All of them, or so many, stratified by class, the same in every run."""
        test: ImageSet = context.data.test
        if self.images is None or self.images >= len(test):
            return test
        indices, _ = stratified_draw(test.labels, self.images, named_generator(0, "explore", "images"))
        return ImageSet(test.images[indices], test.labels[indices])

    def notes(self) -> list[str]:
        """What else decides the result: changes, and what a measurement on one chip at a time leaves aside."""
        changes = ", ".join(f"`{change}`" for change in self.changes)
        notes = [f"Changed from the source: {changes}."] if changes else []
        if self.config.places:
            notes.append("`places` is left aside: all layers are measured on one chip, but for those in `electronic`.")
        return notes


def _folder(out: Path | None, title: str, *names: str) -> Path:
    """The folder to write to, with none of somebody else's files where ours go."""
    folder = new_folder(title, "exploration") if out is None else claim(out, "exploration")
    reserve(*(folder / name for name in names))
    return folder


def _config(source: str, changes: Sequence[str]) -> Any:
    """The config of a run or a recipe, changed; a run has to have trained its network."""
    if not Path(source).is_dir():
        return _classifier(resolve(source, changes), source)
    folder = RunFolder.open(Path(source))
    config = _classifier(override(folder.config, changes), source)
    if "train" not in folder.done:
        raise RequestError(f"The run in `{source}` has trained no network; begin with `lightloom train {source}`.")
    return config


def _classifier(config: RunConfig, source: str) -> RunConfig:
    if not task_of(config).classifies or "train" not in config.stages:
        raise RequestError(
            f"`{source}` trains no classifier of images to put on chips; `onchip/digits` and its like do."
        )
    return config
