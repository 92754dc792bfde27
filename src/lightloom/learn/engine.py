"""The training engine: one loop for every model, on one process or several, that a kill cannot harm.

All randomness of an epoch is a function of seed, stage and epoch, and a checkpoint is one file that holds weights,
optimiser and progress together. A run that is killed and resumed therefore ends in the same weights as one that ran
through, bit for bit on a CPU.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lightloom.common.files import append_json_line, read_json_lines, write_text
from lightloom.common.hold import hold
from lightloom.common.marks import claim, mark_of
from lightloom.common.processes import is_main, on_cpu
from lightloom.common.progress import console, follow
from lightloom.common.seeds import named_seed
from lightloom.data import Batch, Batches, Samples
from lightloom.learn.checkpoint import Progress, load_training, load_weights, save_training, save_weights
from lightloom.learn.config import TrainConfig
from lightloom.learn.finite import check_gradients, check_loss
from lightloom.learn.setup import check_setup, describe

Thin = Callable[[Iterable[tuple[int, Batch]], int], Iterable[tuple[int, Batch]]]
"""Takes the numbered batches of an epoch, and the epoch, and gives those to learn from."""

Augment = Callable[[Any, Tensor], tuple[Any, Tensor]]
"""Takes the inputs and the targets of a batch, and gives changed ones."""

_LONGEST_NAME = 80


class Task(Protocol):
    """What a model is trained for."""

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """Mean loss over the batch, a scalar."""
        ...

    def evaluate(self, model: nn.Module, images: Any) -> Mapping[str, float]:
        """Figures of a model on a set; `loss` and `accuracy` among them."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a training writes: `metrics.jsonl` and `checkpoints/STAGE-{last,best}.safetensors` in a run folder."""

    folder: Path
    stage: str

    @property
    def metrics(self) -> Path:
        """One JSON object per epoch, of all stages."""
        return self.folder / "metrics.jsonl"

    def checkpoint(self, which: str) -> Path:
        """The "last" or "best" checkpoint."""
        return self.folder / "checkpoints" / f"{file_name(self.stage)}-{which}.safetensors"


def file_name(stage: str) -> str:
    """The name of a stage where it can name a file; else what is left of it, with a hash that keeps it apart."""
    plain = re.sub(r"[^\w.-]+", "-", stage)[:_LONGEST_NAME]
    return plain if plain == stage else f"{plain}-{hashlib.sha256(stage.encode()).hexdigest()[:8]}"


def fit(
    model: nn.Module,
    train: Samples,
    validation: Samples,
    task: Task,
    config: TrainConfig,
    *,
    folder: Path,
    stage: str,
    seed: int,
    device: str = "auto",
    augment: Augment | None = None,
    thin: Thin | None = None,
    prepare: Callable[[nn.Module, float], None] | None = None,
) -> Progress:
    """Train the parameters of `model` that require a gradient, and leave the best weights in it, or the last.

    It goes on from the last checkpoint of this stage in `folder`, if there is one, and says so; that must have been
    begun with the same data, settings and seed. Best is by validation accuracy; the first epoch that reaches it
    counts. The model's modules end in the mode, of training or of evaluation, that they came in.

    Args:
        model: Trained in place; it ends on the device of the training. One with a true `takes_targets` is called with
            inputs and targets while it trains, any other with inputs.
        train: Training images.
        validation: Decides which epoch is best.
        task: Loss and figures.
        config: Optimiser, schedule, precision.
        folder: Run folder.
        stage: Name of this training in the run.
        seed: Of the run.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        augment: Changes inputs and targets of every training step; its randomness must come from torch's global
            generator.
        thin: Leaves out some of the numbered batches of an epoch, the same in every process.
        prepare: Called before every epoch with the model and the share of the training that is done; what it does must
            follow from these alone.

    Raises:
        WorkError: The loss or a gradient is not finite, or the disk refuses.
        RequestError: The checkpoint in `folder` is of another model, other data or other settings, or another process
            works there.
    """
    place = Place(folder, stage)
    modes = {module: module.training for module in model.modules()}
    try:
        with own(folder):
            trainer = _Trainer(model, train, validation, task, config, place, seed, device, augment, thin, prepare)
            return trainer.run()
    finally:
        for module, training in modes.items():
            module.training = training


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


def note_progress(place: Place, epoch: int, epochs: int) -> None:
    """Say that a training goes on where it was."""
    if is_main() and epoch:
        console().print(f"{place.stage}: goes on from epoch {epoch} of {epochs} in {place.folder}", soft_wrap=True)


class _Trainer:
    """State of one training between its epochs."""

    def __init__(
        self,
        model: nn.Module,
        train: Samples,
        validation: Samples,
        task: Task,
        config: TrainConfig,
        place: Place,
        seed: int,
        device: str,
        augment: Augment | None,
        thin: Thin | None,
        prepare: Callable[[nn.Module, float], None] | None,
    ) -> None:
        # `accelerate launch` says which devices and processes there are; plain `python` is one process
        self.hardware = Accelerator(cpu=on_cpu(device))
        self.task, self.config, self.place, self.seed = task, config, place, seed
        self.augment = augment
        self.thin: Thin = thin or (lambda batches, epoch: batches)
        self.prepare = prepare or (lambda model, done: None)
        self.model = model.to(self.hardware.device)
        self.validation = validation.to(self.hardware.device)
        images = train.to(self.hardware.device)
        self.batches = Batches(
            images.images,
            images.labels,
            batch_size=config.batch_size,
            seed=named_seed(seed, place.stage),
            rank=self.hardware.process_index,
            world=self.hardware.num_processes,
        )
        self.optimizer = _optimizer(model, config)
        # without a schedule, how many epochs there are decides nothing in any of them
        unscheduled = config.schedule == "constant" and not config.warmup
        self.setup = describe(train, validation, config, seed, frozenset({"epochs"} if unscheduled else ()))
        self.progress = self._resume()
        # several processes: averages gradients; one process: the model itself
        self.parallel: nn.Module = self.hardware.prepare_model(model)

    def run(self) -> Progress:
        epochs = self.config.epochs
        with follow(self.place.stage, epochs, shown=self.hardware.is_main_process) as report:
            for epoch in range(self.progress.epoch + 1, epochs + 1):
                started = time.perf_counter()
                self.prepare(self.model, (epoch - 1) / epochs)
                loss = self._epoch(epoch)
                due = epoch % self.config.evaluate_every == 0 or epoch == epochs
                figures = self.task.evaluate(self.model, self.validation) if due else {}
                self._record(epoch, loss, figures, time.perf_counter() - started)
                report(epoch, f"loss {loss:.4f}" + (f"  accuracy {100 * figures['accuracy']:.2f} %" if due else ""))
        self.hardware.wait_for_everyone()
        if self.config.keep == "best":
            load_weights(self.model, self.place.checkpoint("best"))
        return self.progress

    def _epoch(self, epoch: int) -> float:
        """One pass over the data; the mean loss over all processes."""
        torch.manual_seed(named_seed(self.seed, self.place.stage, epoch, self.hardware.process_index))
        self.parallel.train()
        per_epoch = len(self.batches)
        total, taken = torch.zeros((), device=self.hardware.device), 0
        for index, batch in self.thin(enumerate(self.batches.epoch(epoch - 1)), epoch):
            step = (epoch - 1) * per_epoch + index
            for group in self.optimizer.param_groups:
                group["lr"] = group.get("factor", 1.0) * self.config.learning_rate(step, self.config.epochs * per_epoch)
            where = f"stage `{self.place.stage}`, epoch {epoch}, step {step}"
            inputs, targets = batch.inputs, batch.targets
            if self.augment is not None:
                inputs, targets = self.augment(inputs, targets)
            total += self._step(inputs, targets, batch.share, where)
            taken += 1
        mean: Tensor = self.hardware.reduce(total / taken, "mean")
        return float(mean)

    def _step(self, inputs: Any, targets: Tensor, share: float, where: str) -> Tensor:
        half = self.config.precision == "bfloat16"
        given = (inputs, targets) if getattr(self.model, "takes_targets", False) else (inputs,)
        with torch.autocast(self.hardware.device.type, torch.bfloat16, enabled=half):
            loss = self.task.loss(self.parallel(*given), targets)
        check_loss(loss, self.model, inputs, lambda: self.model(*given), where)
        # with its share, the mean over processes is the mean over the whole batch
        loss = loss * share
        self.optimizer.zero_grad(set_to_none=True)
        self.hardware.backward(loss)
        check_gradients(self.model, where)
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        return loss.detach()

    def _record(self, epoch: int, loss: float, figures: Mapping[str, float], seconds: float) -> None:
        """First the metrics, then the checkpoints: what a kill in between leaves is cut off when resuming."""
        reached = figures.get("accuracy", -1.0)
        # the first look counts whatever it finds, so that there always is a best
        better = reached > self.progress.best or ("accuracy" in figures and self.progress.best_epoch == 0)
        self.progress = Progress(
            epoch,
            reached if better else self.progress.best,
            epoch if better else self.progress.best_epoch,
        )
        if not self.hardware.is_main_process:
            return
        line = {
            "stage": self.place.stage,
            "epoch": epoch,
            "step": epoch * len(self.batches),
            "loss": loss,
            "lr": self.optimizer.param_groups[0]["lr"],
            **{f"validation_{name}": value for name, value in figures.items()},
            "seconds": seconds,
        }
        append_json_line(self.place.metrics, line)
        if better:
            save_weights(self.model, self.place.checkpoint("best"), epoch=str(epoch))
        save_training(self.model, self.optimizer, self.progress, self.place.checkpoint("last"), self.setup)

    def _resume(self) -> Progress:
        last = self.place.checkpoint("last")
        progress = Progress(0, -1.0, 0)
        if last.exists():
            check_setup(last, self.setup)
            progress = load_training(self.model, self.optimizer, last)
            note_progress(self.place, progress.epoch, self.config.epochs)
        self.hardware.wait_for_everyone()
        if self.hardware.is_main_process:
            last.parent.mkdir(parents=True, exist_ok=True)
            _cut_metrics(self.place, progress.epoch)
        return progress


def _optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    if not trained:
        raise ValueError("no parameter of the model requires a gradient, so there is nothing to train")
    apart = config.backbone_factor != 1
    groups: list[dict[str, Any]] = []
    for backbone in (False, True) if apart else (False,):
        own = [each for name, each in trained if (apart and "backbone" in name.split(".")) == backbone]
        groups += _groups(own, config.backbone_factor if backbone else 1.0)
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay)
    return torch.optim.SGD(
        groups, lr=config.lr, weight_decay=config.weight_decay, momentum=0.9, nesterov=config.nesterov
    )


def _groups(trained: list[nn.Parameter], factor: float) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = [{"params": [parameter for parameter in trained if parameter.ndim > 0]}]
    # a single number, such as the depth of a medium, is a property of something and no weight to keep small
    groups.append({"params": [parameter for parameter in trained if parameter.ndim == 0], "weight_decay": 0.0})
    return [{**group, "factor": factor} for group in groups if group["params"]]


def _cut_metrics(place: Place, epoch: int) -> None:
    """Drop the lines of epochs of this stage that no checkpoint holds, and a line that a kill cut short."""
    if not place.metrics.exists():
        return
    lines = [
        json.dumps(line)
        for line in read_json_lines(place.metrics)
        if line["stage"] != place.stage or line["epoch"] <= epoch
    ]
    write_text(place.metrics, "".join(f"{line}\n" for line in lines))
