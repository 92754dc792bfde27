"""The stage that trains every case of a comparison, with every seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from lightloom import learn as learning
from lightloom.common.files import read_json, write_json
from lightloom.common.processes import is_main
from lightloom.common.progress import follow
from lightloom.data import Splits, crop_and_flip, load
from lightloom.folder import RunFolder
from lightloom.learn.mismatch import Kind
from lightloom.networks import build_network, lit
from lightloom.nn import AllOptical, SaturableAbsorber
from lightloom.stages import Work
from lightloom.sweeps import Training, trainings
from lightloom.tasks.classify import Classify

_PROBED = 256  # training images on which gradients are compared
_POINTS, _REACH = 161, 4.0  # of a drawn response: points, and field over that of half transmission


def sweep(work: Work) -> None:
    """Train and measure every case with every seed; those that are done already stay as they are."""
    asked = trainings(work.config)
    rows = _rows(work.folder, "sweep.json")
    done = {(row["case"], row["seed"]) for row in rows}
    read = lru_cache(maxsize=1)(_load)
    with follow("sweep", len(asked), shown=is_main()) as report:
        for number, training in enumerate(asked, 1):
            if training.key not in done:
                data = training.config.data
                splits = read(data.name, data.root, training.seed, data.limit, data.size, data.pixels)
                rows.append(_train(work, training, splits))
                if is_main():
                    write_json(work.folder.file("sweep.json"), rows)
            report(number, training.name)
    if is_main():
        write_json(work.folder.file("curves.json"), {"curves": list(_curves(asked))})


def _load(
    name: str, root: Path | None, seed: int, limit: int | None, size: int | None, pixels: Literal["standard", "unit"]
) -> Splits:
    return load(name, root, seed=seed, limit=limit, size=size, pixels=pixels)


def _train(work: Work, training: Training, splits: Splits) -> dict[str, Any]:
    """One training; the row of it in `sweep.json`."""
    config, started = training.config, time.perf_counter()
    task = Classify(criterion=config.criterion)
    model = lit(build_network(config, splits), config)
    progress = learning.fit(
        model,
        splits.train,
        splits.validation,
        task,
        config.train,
        folder=work.folder.path,
        stage=training.name,
        seed=training.seed,
        device=config.device,
        augment=crop_and_flip if config.data.augment else None,
        prepare=_watch(work.folder, training, splits, task) if work.config.sweep.angles else None,
    )
    figures = task.evaluate(model, splits.test.to(next(model.parameters()).device))
    return {
        "case": training.case.name,
        "series": training.case.series or training.case.name,
        "x": training.case.x,
        "seed": training.seed,
        "accuracy": figures["accuracy"],
        "loss": figures["loss"],
        "validation": progress.best,
        "epochs": progress.epoch,
        "best_epoch": progress.best_epoch,
        "seconds": round(time.perf_counter() - started, 3),
        "parameters": sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
    }


def _watch(folder: RunFolder, training: Training, splits: Splits, task: Classify) -> Callable[[nn.Module, float], None]:
    """What to do before every epoch: note how far the gradient of light is from the exact one."""

    def watch(model: nn.Module, done: float) -> None:
        if not is_main() or not any(isinstance(module, SaturableAbsorber) for module in model.modules()):
            return
        device = next(model.parameters()).device
        images, labels = splits.train.images[:_PROBED].to(device), splits.train.labels[:_PROBED].to(device)
        kinds: list[Kind] = ["light" if isinstance(model, AllOptical) else "probe"]
        name, epoch = training.case.name, round(done * training.config.train.epochs)
        here = {"case": name, "x": training.case.x, "seed": training.seed, "epoch": epoch}
        found = [here | row for row in learning.gradient_angles(model, images, labels, task.loss, kinds)]
        kept = [row for row in _rows(folder, "angles.json") if any(row[key] != value for key, value in here.items())]
        write_json(folder.file("angles.json"), kept + found)

    return watch


def _rows(folder: RunFolder, name: str) -> list[dict[str, Any]]:
    path = folder.file(name)
    rows: list[dict[str, Any]] = read_json(path) if path.exists() else []
    return rows


def _curves(asked: list[Training]) -> Iterator[dict[str, Any]]:
    """The response of every absorber in the comparison: output, exact derivative, and what a probe sees."""
    chips = {t.config.optics.absorber: None for t in asked if t.config.model.activation == "absorber"}
    for chip in chips:
        medium = SaturableAbsorber.of(chip)
        x = torch.linspace(0, _REACH * medium.knee, _POINTS, dtype=torch.float64)
        exact = medium.respond(x)
        medium.gradient = "probe"
        yield {
            "name": chip.name if chip.optical_depth is None else f"{chip.name}, depth {chip.optical_depth:g}",
            "encoding": chip.encoding,
            "x": x.tolist(),
            "output": exact.output.tolist(),
            "exact": exact.factor.tolist(),
            "probe": medium.respond(x).factor.tolist(),
        }
