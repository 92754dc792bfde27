"""The stage that trains every case of a comparison, with every seed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from lightloom import learn as learning
from lightloom.common.errors import LightloomError, RequestError
from lightloom.common.files import write_json
from lightloom.common.processes import is_main
from lightloom.common.progress import console, follow
from lightloom.common.records import read_record
from lightloom.common.seeds import named_seed
from lightloom.config import RunConfig
from lightloom.config.sizes import check_sizes
from lightloom.data import Splits, crop_and_flip, on_images
from lightloom.learn.mismatch import Kind
from lightloom.nn import AllOptical, DiffractiveNetwork, SaturableAbsorber
from lightloom.nn.diffractive.snapshot import look
from lightloom.pipeline import detect3d_cases, detect_cases
from lightloom.pipeline.comparison import Training, overruled, trainings
from lightloom.pipeline.context import Work
from lightloom.pipeline.networks import build_network, lit, read_images
from lightloom.pipeline.run_folder import RunFolder
from lightloom.stage_records import AngleRow, SweepRow
from lightloom.tasks.classification import Classify

# the images of a training stay for the next one, which mostly has the same
_read = lru_cache(maxsize=1)(read_images)

_PROBED = 256  # training images on which gradients are compared
_TRIED = 2  # images that every network is shown before the first is trained
_POINTS, _REACH = 161, 4.0  # of a drawn response: points, and field over that of half transmission


def sweep(work: Work) -> None:
    """Train and measure every case with every seed; those that are done already stay as they are."""
    asked = trainings(work.config)
    rows = _rows(work.folder, "sweep.json")
    done = {(row["case"], row["seed"]) for row in rows}
    if not done:
        rehearse(work.config)
    if is_main():
        for notice in overruled(work.config):
            console().print(notice)
    with follow("sweep", len(asked), shown=is_main()) as report:
        for number, training in enumerate(asked, 1):
            if training.key not in done:
                rows.append(_row(work, training, asked))
                if is_main():
                    write_json(work.folder.file("sweep.json"), rows)
            report(number, training.name)
    if is_main() and work.config.task == "classify":
        write_json(work.folder.file("curves.json"), {"curves": list(_curves(asked))})


def rehearse(config: RunConfig) -> None:
    """Build the network of every case and show it two images, before anything is trained.

    Raises:
        RequestError: There is no case, or one cannot be built or seen through; the case is named.
    """
    asked = trainings(config)
    for training in asked[: len(config.sweep.cases)]:
        try:
            if training.config.task == "detect":
                detect_cases.rehearse_case(training, asked)
            elif training.config.task == "detect3d":
                detect3d_cases.rehearse_case(training, asked)
            else:
                _rehearse_network(training)
        except LightloomError as problem:
            raise RequestError(f"The case `{training.case.name}` of the comparison cannot be: {problem}") from None


def _rehearse_network(training: Training) -> None:
    config = training.config
    check_sizes(config)
    splits = _read(config.data, training.seed)
    model = lit(build_network(config, splits), config).eval()
    with torch.no_grad():
        model(splits.train.images[:_TRIED])


def _row(work: Work, training: Training, asked: Sequence[Training]) -> dict[str, Any]:
    """One training; the row of it in `sweep.json`."""
    if training.config.task == "detect":
        return detect_cases.train_case(work.folder, training, asked)
    if training.config.task == "detect3d":
        return detect3d_cases.train_case(work.folder, training, asked)
    return _train(work, training, _read(training.config.data, training.seed))


def _train(work: Work, training: Training, splits: Splits) -> dict[str, Any]:
    config, started = training.config, time.perf_counter()
    task = Classify(criterion=config.criterion)
    model = lit(build_network(config, splits), config)
    augment = on_images(crop_and_flip) if config.data.augment else None
    angles = _Angles(work.folder, training, splits, task) if work.config.sweep.angles else None
    progress = learning.fit(
        model,
        learning.TrainingData(splits.train, splits.validation, augment),
        task,
        config.train,
        learning.Session(work.folder.path, training.name, training.seed, config.device),
        prepare=None if angles is None else angles.watch,
    )
    torch.manual_seed(named_seed(training.seed, training.name, "test"))  # what is read may be noisy
    figures = task.evaluate(model, splits.test.to(next(model.parameters()).device))
    if angles is not None:
        angles.keep()
    if isinstance(model, DiffractiveNetwork) and training.seed == work.config.seed and is_main():
        _keep_light(work.folder, training, model, splits)
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


def _keep_light(folder: RunFolder, training: Training, model: nn.Module, splits: Splits) -> None:
    """Add masks and light of a diffractive network to those of the others."""
    path = folder.file("optics.safetensors")
    tensors, notes = learning.read_tensors(path) if path.exists() else ({}, {})
    seen = look(training.case.name, model, splits.test.images[:1].to(next(model.parameters()).device))
    learning.write_tensors(path, tensors | seen.tensors, notes | seen.notes)


class _Angles:
    """How far the gradient of light is from the exact one, noted before every epoch of one training.

    What the training has found so far lies beside its checkpoints; `angles.json` gets it in the end.
    """

    def __init__(self, folder: RunFolder, training: Training, splits: Splits, task: Classify) -> None:
        self.folder, self.training, self.task = folder, training, task
        self.images, self.labels = splits.train.images[:_PROBED], splits.train.labels[:_PROBED]
        self.here = {"case": training.case.name, "x": training.case.x, "seed": training.seed}
        self.rows = [row for row in _rows(folder, "checkpoints/angles.json") if self._mine(row)]

    def watch(self, model: nn.Module, done: float) -> None:
        """As `learn.fit` calls it; where there is no absorber, both gradients are one."""
        if not is_main() or not any(isinstance(module, SaturableAbsorber) for module in model.modules()):
            return
        device = next(model.parameters()).device
        kinds: list[Kind] = ["light" if isinstance(model, AllOptical) else "probe"]
        epoch = round(done * self.training.config.train.epochs)
        with torch.random.fork_rng():
            torch.manual_seed(named_seed(self.training.seed, self.training.name, "angles", epoch))
            found = learning.gradient_angles(
                model, self.images.to(device), self.labels.to(device), self.task.loss, kinds
            )
        before = [row for row in self.rows if row["epoch"] < epoch]
        self.rows = [*before, *({**self.here, "epoch": epoch, **row} for row in found)]
        write_json(self.folder.file("checkpoints/angles.json"), self.rows)

    def keep(self) -> None:
        """Add what this training found to that of the others."""
        if is_main() and self.rows:
            others = [row for row in _rows(self.folder, "angles.json") if not self._mine(row)]
            write_json(self.folder.file("angles.json"), others + self.rows)

    def _mine(self, row: dict[str, Any]) -> bool:
        return all(row[key] == value for key, value in self.here.items())


def _rows(folder: RunFolder, name: str) -> list[dict[str, Any]]:
    kind = SweepRow if name == "sweep.json" else AngleRow
    rows: list[dict[str, Any]] = read_record(folder.file(name), list[kind], [])  # type: ignore[valid-type]
    return rows


def _curves(asked: list[Training]) -> Iterator[dict[str, Any]]:
    """The response of every absorber in the comparison: output, exact derivative, and what a probe sees."""
    chips = dict.fromkeys(t.config.optics.absorber for t in asked if t.config.model.activation == "absorber")
    names: list[str] = []
    for chip in chips:
        names.append(chip.name if chip.table is not None else f"{chip.name}, depth {chip.optical_depth:g}")
        alike = names.count(names[-1])
        medium = SaturableAbsorber.of(chip)
        x = torch.linspace(0, _REACH * medium.half_transmission_field, _POINTS, dtype=torch.float64)
        exact = medium.respond(x)
        medium.gradient = "probe"
        yield {
            "name": names[-1] if alike == 1 else f"{names[-1]} ({alike})",
            "encoding": chip.encoding,
            "x": x.tolist(),
            "output": exact.output.tolist(),
            "exact": exact.factor.tolist(),
            "probe": medium.respond(x).factor.tolist(),
        }
