"""What a training leaves in its folder, epoch by epoch, and how one that was stopped finds its way back."""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from lightloom.common.files import append_json_line, read_json_lines, write_text
from lightloom.common.hold import hold
from lightloom.common.marks import claim, mark_of
from lightloom.common.processes import is_main
from lightloom.learn.checkpoint import Progress, load_training, load_weights, save_training, save_weights
from lightloom.learn.objective import Objective, described, improves, primary
from lightloom.learn.setup import check_setup

_LOG = logging.getLogger("lightloom")
_LONGEST_NAME = 80


@dataclass(frozen=True)
class Session:
    """One training of a run: where it writes, what it draws from, and where it computes.

    It writes `metrics.jsonl` and `checkpoints/STAGE-{last,best}.safetensors` in its folder.
    """

    folder: Path
    """The run folder."""
    stage: str
    """Name of this training in the run."""
    seed: int
    """Seed of the run."""
    device: str = "auto"
    """The device: "auto" takes a GPU where there is one, "cpu" never does."""

    @property
    def metrics(self) -> Path:
        """The file of one JSON object per epoch, of all stages."""
        return self.folder / "metrics.jsonl"

    def checkpoint(self, which: str) -> Path:
        """The file of the "last" or "best" checkpoint."""
        return self.folder / "checkpoints" / f"{file_name(self.stage)}-{which}.safetensors"


def file_name(stage: str) -> str:
    """The name of a stage where it can name a file; else what is left of it, with a hash that keeps it apart."""
    plain = re.sub(r"[^\w.-]+", "-", stage)[:_LONGEST_NAME]
    return plain if plain == stage else f"{plain}-{hashlib.sha256(stage.encode()).hexdigest()[:8]}"


@contextmanager
def own(folder: Path) -> Iterator[None]:
    """Mark a folder that is to hold a training, and keep other processes out of it while it runs."""
    if not is_main():
        yield
        return
    mark = mark_of(folder)
    if mark is None or mark.kind not in ("run", "exploration"):
        claim(folder, "training")
    with hold(folder):
        yield


class Recorder:
    """The metrics and checkpoints of one training; every process has one, and the first of them writes.

    Args:
        session: Where it writes.
        objective: It says which epoch is best.
        setup: What is trained on and how, as `lightloom.learn.setup.describe` gives it.
    """

    def __init__(self, session: Session, objective: Objective, setup: str) -> None:
        self.session, self.objective, self.setup = session, objective, setup
        self.progress = Progress(0, float("nan"), 0)

    def load(self, model: nn.Module, optimizer: torch.optim.Optimizer | None, epochs: int) -> None:
        """Go on from the last checkpoint, if there is one, and say so.

        Args:
            model: Takes its weights.
            optimizer: Takes its state; None where the training has none.
            epochs: How many there are to be.

        Raises:
            RequestError: The checkpoint is of another model, other data or other settings.
        """
        last = self.session.checkpoint("last")
        if not last.exists():
            return
        check_setup(last, self.setup)
        self.progress = load_training(model, optimizer, last)
        if is_main() and self.progress.epoch:
            where = f"epoch {self.progress.epoch} of {epochs} in {self.session.folder}"
            _LOG.info("%s: goes on from %s", self.session.stage, where)

    def clean(self) -> None:
        """Drop the lines of epochs of this stage that no checkpoint holds, and a line that a kill cut short."""
        self.session.checkpoint("last").parent.mkdir(parents=True, exist_ok=True)
        if not self.session.metrics.exists():
            return
        lines = [
            json.dumps(line)
            for line in read_json_lines(self.session.metrics)
            if line["stage"] != self.session.stage or line["epoch"] <= self.progress.epoch
        ]
        write_text(self.session.metrics, "".join(f"{line}\n" for line in lines))

    def record(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer | None,
        line: Mapping[str, float],
        metrics: Mapping[str, float],
        seconds: float,
    ) -> str:
        """Write one more epoch: first the metrics, then the checkpoints, so that a kill between them shows.

        Args:
            model: As the epoch left it.
            optimizer: As the epoch left it; None where the training has none.
            line: What is noted of the training itself: step, loss, learning rate.
            metrics: Of the validation data, by name; empty where this epoch was not measured.
            seconds: That the epoch took.

        Returns:
            The primary metric in words, empty where it was not measured.
        """
        epoch, better = self.progress.epoch + 1, False
        self.progress = self.progress._replace(epoch=epoch)
        value = primary(self.objective, metrics) if metrics else None
        # the first value counts whatever it is, so that there always is a best
        if value is not None and (not self.progress.best_epoch or improves(self.objective, value, self.progress.best)):
            better, self.progress = True, Progress(epoch, value, epoch)
        if is_main():
            measured = {f"validation_{name}": number for name, number in metrics.items()}
            row = {"stage": self.session.stage, "epoch": epoch, **line, **measured, "seconds": seconds}
            append_json_line(self.session.metrics, row)
            if better:
                save_weights(model, self.session.checkpoint("best"), epoch=str(epoch))
            save_training(model, optimizer, self.progress, self.session.checkpoint("last"), self.setup)
        return "" if value is None else described(self.objective, value)

    def load_best(self, model: nn.Module) -> None:
        """Put the weights of the best epoch into the model."""
        load_weights(model, self.session.checkpoint("best"))
