"""Training on the loss alone, without any gradient: the baselines FLOPS and MixedTrn.

Both change every phase and singular value of every core and look at the loss of a minibatch. They see the whole data,
each epoch in a new order. All evaluations of one step share batch and random numbers, so that two losses differ by
the settings alone, and only the first of them moves the running statistics of norms.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from lightloom.common.config import Section
from lightloom.common.errors import RequestError
from lightloom.common.processes import best_device, world
from lightloom.common.progress import follow
from lightloom.common.seeds import named_generator, named_seed
from lightloom.data import Batch, Batches
from lightloom.learn.checkpoint import Progress
from lightloom.learn.engine import TrainingData
from lightloom.learn.nonfinite import check_loss
from lightloom.learn.objective import Objective
from lightloom.learn.recorder import Recorder, Session, own
from lightloom.learn.setup import describe
from lightloom.nn import MeshCore, cores

_BatchNorm = nn.modules.batchnorm._NormBase


class ZerothConfig(Section):
    """One training without gradients; defaults are the published ones, as L2ight compares itself with them."""

    method: Literal["flops", "mixedtrn"] = "flops"
    """flops: descent along random directions (Gu et al., DAC 2020). mixedtrn: coordinate descent on a sparse choice
    of phases (Gu et al., AAAI 2021)."""
    epochs: int = Field(50, ge=1)
    """Passes over the training images; published 50 for flops, 20 for mixedtrn."""
    batch_size: int = Field(32, ge=1)
    """Images per step."""
    samples: int = Field(1, ge=1)
    """flops: directions per step."""
    std: float = Field(0.1, gt=0)
    """flops: standard deviation of a direction, rad."""
    lr: float = Field(2.0, gt=0)
    """flops: first learning rate."""
    decay: float = Field(0.99, gt=0, le=1)
    """flops: factor on the learning rate per epoch."""
    step: float = Field(2 * math.pi / 255, gt=0)
    """mixedtrn: change of one setting, rad; by default one level of an 8-bit drive."""
    kept: float = Field(0.15, gt=0, le=1)
    """mixedtrn: share of the phases that ever change; chosen once. All singular values do."""
    skipped: float = Field(0.9, ge=0, lt=1)
    """mixedtrn: chance that a setting is passed over in a step."""


def fit_zeroth(
    model: nn.Module, data: TrainingData, objective: Objective, config: ZerothConfig, session: Session
) -> Progress:
    """Train the settings of the optical layers of `model` from losses alone, and leave the best in it.

    Checkpoints, metrics and resuming are those of `fit`; it works on one process.

    Args:
        model: A converted model, trained in place; its optical layers are in mode "usv" or "phase".
        data: What is learned from, and what decides which epoch is best; neither an augmentation nor a sampler.
        objective: The loss, and the metrics that are noted after an epoch.
        config: Method and its numbers.
        session: Folder, stage, seed and device of this training.

    Raises:
        ValueError: The model has no optical layer, or one whose core is in mode "weight".
        WorkError: The loss is not finite, or the disk refuses.
        RequestError: The checkpoint of the session is of another model, other data or other settings, there are several
            processes, or the data is to be augmented or sampled.
    """
    if world() > 1:
        raise RequestError("Training without gradients runs on one process; start it without `accelerate launch`.")
    if data.augment is not None or data.sampler is not None:
        raise RequestError("Training without gradients takes the data as it is; leave `augment` and `sampler` out.")
    device = best_device(session.device)
    train, validation = data.train.to(device), data.validation.to(device)
    seed = named_seed(session.seed, session.stage)
    batches = Batches(train.inputs, train.targets, batch_size=config.batch_size, seed=seed)
    search = _Search(model.to(device), objective, config, seed)
    setup = describe(data.train, data.validation, config, session.seed, metric=objective.metric, free={"epochs"})
    recorder = Recorder(session, objective, setup)
    with own(session.folder), follow(session.stage, config.epochs) as report:
        recorder.load(model, None, config.epochs)
        recorder.clean()
        for epoch in range(recorder.progress.epoch + 1, config.epochs + 1):
            started = time.perf_counter()
            loss = search.epoch(batches, epoch)
            metrics = objective.evaluate(model, validation)
            line = {"step": epoch * len(batches), "loss": loss, "lr": search.rate(epoch), **search.counted()}
            text = recorder.record(model, None, line, metrics, time.perf_counter() - started)
            report(epoch, f"loss {loss:.4f}  {text}")
    recorder.load_best(model)
    return recorder.progress


class _Search:
    """Steps of one method on the settings of a model's cores."""

    def __init__(self, model: nn.Module, objective: Objective, config: ZerothConfig, seed: int) -> None:
        self.model, self.objective, self.config, self.seed = model, objective, config, seed
        self.cores = _cores(model)
        self.settings = [t for core in self.cores for t in (core.u_phases, core.v_phases, core.sigma)]
        self.evaluations = 0
        generator = named_generator(seed, "kept")
        self.kept = [
            torch.ones(t.numel(), dtype=torch.bool)
            if t is core.sigma
            else torch.rand(t.numel(), generator=generator) < config.kept
            for core in self.cores
            for t in (core.u_phases, core.v_phases, core.sigma)
        ]

    def rate(self, epoch: int) -> float:
        """Learning rate of flops, or the step of mixedtrn."""
        config = self.config
        return config.lr * config.decay ** (epoch - 1) if config.method == "flops" else config.step

    def counted(self) -> dict[str, int]:
        """Evaluations of the network since the last time that this was asked."""
        evaluations, self.evaluations = self.evaluations, 0
        return {"evaluations": evaluations}

    @torch.no_grad()
    def epoch(self, batches: Batches, epoch: int) -> float:
        """One pass over the data; the mean loss before each step."""
        self.model.train()
        generator = named_generator(self.seed, "directions", epoch)
        step = self._flops if self.config.method == "flops" else self._mixedtrn
        total = 0.0
        for number, batch in enumerate(batches.epoch(epoch - 1)):
            draws = named_seed(self.seed, "step", epoch, number)
            first = self._loss(batch, draws)
            where = f"epoch {epoch}, batch {number}"
            check_loss(first, self.model, batch.inputs, lambda batch=batch: self.model(batch.inputs), where)  # type: ignore[misc]
            with _still(self.model):
                step(batch, draws, float(first), epoch, generator)
            total += float(first)
        return total / len(batches)

    def _loss(self, batch: Batch, draws: int) -> Tensor:
        torch.manual_seed(draws)  # dropout and dynamic noise are the same in every evaluation of a step
        self.evaluations += 1
        return self.objective.loss(self.model(batch.inputs), batch.targets)

    def _flops(self, batch: Batch, draws: int, first: float, epoch: int, generator: torch.Generator) -> None:
        """Descend along g, the mean over directions d ~ N(0, std^2) of d (L(x + d) - L(x)) / std^2."""
        std, scales = self.config.std, self._scales()
        start = [setting.clone() for setting in self.settings]
        slope = [torch.zeros_like(setting) for setting in self.settings]
        for _ in range(self.config.samples):
            moves = [std * torch.randn(s.shape, generator=generator).to(s) for s in start]
            for setting, at, move, scale in zip(self.settings, start, moves, scales, strict=True):
                setting.copy_(at + scale * move)
            rise = (float(self._loss(batch, draws)) - first) / (std**2 * self.config.samples)
            for g, move in zip(slope, moves, strict=True):
                g.add_(move, alpha=rise)
        for setting, at, g, scale in zip(self.settings, start, slope, scales, strict=True):
            setting.copy_(at - self.rate(epoch) * scale * g)

    def _mixedtrn(self, batch: Batch, draws: int, first: float, epoch: int, generator: torch.Generator) -> None:
        """Try one step up, then down, on each chosen setting; keep what lowers the loss."""
        best = first
        for setting, free, scale in zip(self.settings, self.kept, self._scales(), strict=True):
            flat, steps = setting.view(-1), (self.config.step * scale.expand_as(setting)).reshape(-1)
            tries = free & (torch.rand(free.shape, generator=generator) >= self.config.skipped)
            for index in tries.nonzero().squeeze(1).tolist():
                here = flat[index].clone()
                for step in (steps[index], -steps[index]):
                    flat[index] = here + step
                    loss = float(self._loss(batch, draws))
                    if loss < best:
                        best = loss
                        break
                    flat[index] = here

    def _scales(self) -> list[Tensor]:
        """What a change of 1 rad means to each setting: itself to a phase, the gain of its block to a singular value.

        The published codes turn the attenuator's angle, whose slope vanishes at the largest value of each block; the
        sine of a typical angle is near 1.
        """
        scales = []
        for core in self.cores:
            one = core.sigma.new_ones(())
            scales += [one, one, core.sigma.abs().amax(-1, keepdim=True)]
        return scales


def _cores(model: nn.Module) -> list[MeshCore]:
    meshes = cores(model, MeshCore)
    if not meshes:
        raise ValueError("there is nothing to search: the model has no layer on meshes; use `convert` first")
    for name, core in meshes.items():
        if core.matrix is not None:
            raise ValueError(f"`{name}` is in mode `weight`, without phases; use `switch(model, 'phase')` first")
    return list(meshes.values())


@contextmanager
def _still(model: nn.Module) -> Iterator[None]:
    """Leave the running statistics of norms alone."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0
    try:
        yield
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
