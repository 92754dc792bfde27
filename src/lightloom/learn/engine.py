"""The training engine: one loop for every model, on one process or several, that a kill cannot harm.

All randomness of an epoch is a function of seed, stage and epoch, and a checkpoint is one file that holds weights,
optimiser and progress together. A run that is killed and resumed therefore ends in the same weights as one that ran
through, bit for bit on a CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from lightloom.common.processes import on_cpu
from lightloom.common.progress import follow
from lightloom.common.seeds import named_seed
from lightloom.data import Batch, Batches, Samples
from lightloom.learn.checkpoint import Progress
from lightloom.learn.config import TrainConfig
from lightloom.learn.nonfinite import check_gradients, check_loss
from lightloom.learn.objective import Objective
from lightloom.learn.recorder import Recorder, Session, own
from lightloom.learn.setup import describe

BatchSampler = Callable[[Iterable[tuple[int, Batch]], int], Iterable[tuple[int, Batch]]]
"""Takes the numbered batches of an epoch, and the epoch, and gives those to learn from."""

Augment = Callable[[Any, Tensor], tuple[Any, Tensor]]
"""Takes the inputs and the targets of a batch, and gives changed ones."""

Prepare = Callable[[nn.Module, float], None]
"""Takes the model and the share of the training that is done; what it does must follow from these alone."""


@dataclass(frozen=True)
class TrainingData:
    """What a model learns from, and what it is measured on meanwhile."""

    train: Samples
    """The training samples."""
    validation: Samples
    """The samples on which the best epoch is chosen."""
    augment: Augment | None = None
    """Changes inputs and targets of every training step; its randomness must come from torch's global generator."""
    sampler: BatchSampler | None = None
    """Leaves out some of the numbered batches of an epoch, the same in every process."""


def fit(
    model: nn.Module,
    data: TrainingData,
    objective: Objective,
    config: TrainConfig,
    session: Session,
    *,
    prepare: Prepare | None = None,
) -> Progress:
    """Train the parameters of `model` that require a gradient, and leave the best weights in it, or the last.

    It goes on from the last checkpoint of the session, if there is one, and says so; that must have been begun with the
    same data, settings, seed and primary metric. Best is by that metric on the validation data; the first epoch that
    reaches it counts. The model's modules end in the mode, of training or of evaluation, that they came in.

    Args:
        model: Trained in place; it ends on the device of the training. One with a true `takes_targets` is called with
            inputs and targets while it trains, any other with inputs.
        data: What is learned from, and what decides which epoch is best.
        objective: The loss, and the metrics that are noted after an epoch.
        config: Optimiser, schedule, precision.
        session: Folder, stage, seed and device of this training.
        prepare: Called before every epoch with the model and the share of the training that is done.

    Raises:
        WorkError: The loss or a gradient is not finite, or the disk refuses.
        RequestError: The checkpoint of the session is of another model, other data or other settings, another process
            works in its folder, or the objective does not measure its primary metric.
    """
    modes = {module: module.training for module in model.modules()}
    try:
        with own(session.folder):
            return _Trainer(model, data, objective, config, session).run(prepare or (lambda model, done: None))
    finally:
        for module, training in modes.items():
            module.training = training


class _Trainer:
    """State of one training between its epochs."""

    def __init__(
        self, model: nn.Module, data: TrainingData, objective: Objective, config: TrainConfig, session: Session
    ) -> None:
        # `accelerate launch` says which devices and processes there are; plain `python` is one process
        self.hardware = Accelerator(cpu=on_cpu(session.device))
        self.objective, self.config, self.session = objective, config, session
        self.augment = data.augment
        self.sampler: BatchSampler = data.sampler or (lambda batches, epoch: batches)
        self.model = model.to(self.hardware.device)
        self.validation = data.validation.to(self.hardware.device)
        train = data.train.to(self.hardware.device)
        self.batches = Batches(
            train.inputs,
            train.targets,
            batch_size=config.batch_size,
            seed=named_seed(session.seed, session.stage),
            rank=self.hardware.process_index,
            world=self.hardware.num_processes,
        )
        self.optimizer = _optimizer(model, config)
        # without a schedule, how many epochs there are decides nothing in any of them
        free = {"epochs"} if config.schedule == "constant" and not config.warmup else set()
        setup = describe(data.train, data.validation, config, session.seed, metric=objective.metric, free=free)
        self.recorder = Recorder(session, objective, setup)
        self.recorder.load(model, self.optimizer, config.epochs)
        self.hardware.wait_for_everyone()
        if self.hardware.is_main_process:
            self.recorder.clean()
        # several processes: averages gradients; one process: the model itself
        self.parallel: nn.Module = self.hardware.prepare_model(model)

    def run(self, prepare: Prepare) -> Progress:
        epochs = self.config.epochs
        with follow(self.session.stage, epochs, shown=self.hardware.is_main_process) as report:
            for epoch in range(self.recorder.progress.epoch + 1, epochs + 1):
                started = time.perf_counter()
                prepare(self.model, (epoch - 1) / epochs)
                loss = self._epoch(epoch)
                due = epoch % self.config.evaluate_every == 0 or epoch == epochs
                metrics = self.objective.evaluate(self.model, self.validation) if due else {}
                rate = self.optimizer.param_groups[0]["lr"]
                line = {"step": epoch * len(self.batches), "loss": loss, "lr": rate}
                seconds = time.perf_counter() - started
                text = self.recorder.record(self.model, self.optimizer, line, metrics, seconds)
                report(epoch, f"loss {loss:.4f}  {text}".rstrip())
        self.hardware.wait_for_everyone()
        if self.config.keep == "best":
            self.recorder.load_best(self.model)
        return self.recorder.progress

    def _epoch(self, epoch: int) -> float:
        """One pass over the data; the mean loss over all processes."""
        torch.manual_seed(named_seed(self.session.seed, self.session.stage, epoch, self.hardware.process_index))
        self.parallel.train()
        per_epoch = len(self.batches)
        total, steps = torch.zeros((), device=self.hardware.device), 0
        for index, batch in self.sampler(enumerate(self.batches.epoch(epoch - 1)), epoch):
            step = (epoch - 1) * per_epoch + index
            for group in self.optimizer.param_groups:
                group["lr"] = group.get("factor", 1.0) * self.config.learning_rate(step, self.config.epochs * per_epoch)
            if self.augment is not None:
                inputs, targets = self.augment(batch.inputs, batch.targets)
                batch = batch._replace(inputs=inputs, targets=targets)
            total += self._step(batch, f"stage `{self.session.stage}`, epoch {epoch}, step {step}")
            steps += 1
        mean: Tensor = self.hardware.reduce(total / steps, "mean")
        return float(mean)

    def _step(self, batch: Batch, where: str) -> Tensor:
        half = self.config.precision == "bfloat16"
        inputs, targets = batch.inputs, batch.targets
        arguments = (inputs, targets) if getattr(self.model, "takes_targets", False) else (inputs,)
        with torch.autocast(self.hardware.device.type, torch.bfloat16, enabled=half):
            loss = self.objective.loss(self.parallel(*arguments), targets)
        check_loss(loss, self.model, inputs, lambda: self.model(*arguments), where)
        # with this weight, the mean over processes is the mean over the whole batch
        loss = loss * batch.loss_weight
        self.optimizer.zero_grad(set_to_none=True)
        self.hardware.backward(loss)
        check_gradients(self.model, where)
        if self.config.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        return loss.detach()


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
