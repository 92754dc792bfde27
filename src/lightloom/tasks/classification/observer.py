"""What is noted beside the trainings of compared classifiers: angles between gradients, light, and responses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import nn

from lightloom import learn as learning
from lightloom.common.processes import is_main
from lightloom.common.seeds import named_seed
from lightloom.data import Splits
from lightloom.learn.gradient_alignment import Kind
from lightloom.nn import AllOptical, DiffractiveNetwork, SaturableAbsorber
from lightloom.nn.diffractive.snapshot import look
from lightloom.schemas import GradientAngle, ResponseCurves, read, write_plain
from lightloom.tasks.base import Files, Subject
from lightloom.tasks.classification.config import ClassificationConfig
from lightloom.tasks.classification.objective import Classify

_PROBED = 256  # training images on which gradients are compared
_POINTS, _REACH = 161, 4.0  # of a drawn response: points, and field over that of half transmission


class ClassificationObserver:
    """Notes how far the gradient of light is from the exact one, and keeps the light of diffractive networks.

    Angles of an unfinished training lie beside its checkpoints; `angles.json` gets them in the end.

    Args:
        files: Of the run.
        config: Of the training.
        data: What it learns from.
        subject: Which training of the comparison it is.
    """

    def __init__(self, files: Files, config: ClassificationConfig, data: Splits, subject: Subject) -> None:
        self.files, self.config, self.subject = files, config, subject
        self.objective = Classify(criterion=config.criterion)
        self.images, self.labels = data.train.images[:_PROBED], data.train.labels[:_PROBED]
        self.example = data.test.images[:1]
        self.key = {"case": subject.case.name, "x": subject.case.x, "seed": subject.seed}
        self.rows = [row for row in self._read("checkpoints/angles.json") if self._is_own(row)] if config.angles else []

    def before_epoch(self, model: nn.Module, done: float) -> None:
        """Measure the angles; without an absorber both gradients are one.

        Args:
            model: The network or detector.
            done: Share of the training that is done.
        """
        if not self.config.angles or not is_main():
            return
        if not any(isinstance(module, SaturableAbsorber) for module in model.modules()):
            return
        device = next(model.parameters()).device
        kinds: list[Kind] = ["light" if isinstance(model, AllOptical) else "probe"]
        epoch = round(done * self.config.train.epochs)
        with torch.random.fork_rng():
            torch.manual_seed(named_seed(self.subject.seed, self.subject.name, "angles", epoch))
            angles = learning.gradient_angles(
                model, self.images.to(device), self.labels.to(device), self.objective.loss, kinds
            )
        before = [row for row in self.rows if row["epoch"] < epoch]
        self.rows = [*before, *({**self.key, "epoch": epoch, **row} for row in angles)]
        write_plain(self.files.file("checkpoints/angles.json"), list[GradientAngle], self.rows)

    def finish(self, model: nn.Module) -> None:
        """Add the angles of this training to those of the others, and the light of a diffractive network."""
        if not is_main():
            return
        if self.rows:
            others = [row for row in self._read("angles.json") if not self._is_own(row)]
            write_plain(self.files.file("angles.json"), list[GradientAngle], others + self.rows)
        if isinstance(model, DiffractiveNetwork) and self.subject.is_first:
            self._keep_light(model)

    def _keep_light(self, model: nn.Module) -> None:
        path = self.files.file("optics.safetensors")
        tensors, notes = learning.read_tensors(path) if path.exists() else ({}, {})
        snapshot = look(self.subject.case.name, model, self.example.to(next(model.parameters()).device))
        learning.write_tensors(path, tensors | snapshot.tensors, notes | snapshot.notes)

    def _read(self, name: str) -> list[dict[str, Any]]:
        return [row.plain() for row in read(self.files.file(name), list[GradientAngle], [], strict=True)]

    def _is_own(self, row: dict[str, Any]) -> bool:
        return all(row[key] == value for key, value in self.key.items())


def write_curves(files: Files, configs: Sequence[ClassificationConfig]) -> None:
    """Write the response of every absorber in a comparison to `curves.json`.

    Args:
        files: Of the run.
        configs: Of its trainings.
    """
    write_plain(files.file("curves.json"), ResponseCurves, {"curves": list(_curves(configs))})


def _curves(configs: Sequence[ClassificationConfig]) -> Iterator[dict[str, Any]]:
    """Output, exact derivative, and what a probe sees."""
    chips = dict.fromkeys(each.optics.absorber for each in configs if each.model.activation == "absorber")
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
