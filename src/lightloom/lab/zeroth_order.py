"""Optimisers that need no gradient, only losses: what a chip can be trained with when its insides are unknown.

Three published searches (Gu et al., "L2ight", NeurIPS 2021) over the phases of many blocks at once. Each block is a
problem of its own: one evaluation serves them all, and each decides for itself which phases it keeps. The searches
know nothing of what the loss means; `calibration` and `mapping` say that.

* `zcd`, coordinate descent: try +d on one phase; where that is not lower, go to -d.
* `ztp`, ternary: the best of -d, 0 and +d on one phase.
* `zgd`, gradient descent along random directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from lightloom.common.errors import RequestError, WorkError, nearest
from lightloom.common.seeds import named_generator
from lightloom.physics.phases import TWO_PI

Method = Literal["zcd", "ztp", "zgd"]
METHODS: tuple[Method, ...] = get_args(Method)


class MeasuredLoss(Protocol):
    """A loss of every block, measured."""

    def __call__(self, phases: Tensor, changed: Sequence[int] | None, /) -> Tensor:
        """Loss [blocks] at `phases` [blocks, p]; only `changed` may differ from the last call, None is any."""


class Steps(NamedTuple):
    """Step per epoch of a block: max(start * decay^epoch, floor), in rad."""

    start: float = 0.1
    decay: float = 0.99
    floor: float = 0.0
    """Below one level of the drive a search stands still; `published_steps` knows it."""

    def at(self, epochs: Tensor) -> Tensor:
        """[blocks] steps for blocks that have done `epochs` [blocks] epochs."""
        return (self.start * self.decay ** epochs.double()).clamp_min(self.floor)


def published_steps(method: Method, bits: int | None) -> Steps:
    """0.1 * 0.99^epoch rad, but at least one level of a drive of `bits`; for `zgd` the rate, 1 * 0.99^epoch.

    Args:
        method: Which search.
        bits: Resolution of the drive; None is exact.
    """
    floor = 0.0 if bits is None else TWO_PI / (2**bits - 1)
    return Steps(start=1.0 if method == "zgd" else 0.1, floor=floor)


class Restart(NamedTuple):
    """After each epoch, push blocks whose loss is too high by `nudge` and start their schedule again."""

    threshold: float | Tensor
    """Loss, or [blocks] losses."""
    growth: float = 1.0
    """Factor on the threshold per epoch."""
    nudge: float = 0.01
    """Added to every phase, rad."""


@dataclass(frozen=True)
class SearchResult:
    """The best phases of every block so far."""

    phases: Tensor
    """[blocks, p], rad."""
    loss: Tensor
    """[blocks], the lowest measured."""
    epochs: int
    evaluations: int
    history: tuple[float, ...]
    """Mean of `loss` after each epoch, the start first."""


@dataclass(frozen=True)
class SearchPlan:
    """How to search; `calibration` and `mapping` have the published ones."""

    method: Method
    epochs: int
    steps: Steps
    shuffle: bool = True
    """New random order of the coordinates in each epoch (`zcd`); the same for both meshes of a block."""
    checked: bool = False
    """Let `zcd` go to -d only where that is lower, at the same number of evaluations.

    The published one always goes. What looks like an oversight is what carries it out of local minima: without it, the
    identity calibration ends at four times the error.
    """
    restart: Restart | None = None
    seed: int = 0


def minimise(
    objective: MeasuredLoss,
    start: Tensor,
    plan: SearchPlan,
    *,
    groups: int = 1,
    first_epoch: int = 0,
    each_epoch: Callable[[SearchResult], None] | None = None,
) -> SearchResult:
    """Search from `start` by `plan`.

    Args:
        objective: Loss of every block.
        start: [blocks, p], rad; left as it is.
        plan: How.
        groups: Into how many equal parts the phases fall (2 for U and V): all are swept in the same order.
        first_epoch: Where to go on; earlier epochs were done before, and `start` is what they found.
        each_epoch: Told the best so far after each epoch: keep it, and an instrument that fails later costs nothing.

    Returns:
        The best that was measured, which need not be the last.

    Raises:
        RequestError: There is no such method.
        WorkError: A loss is not finite.
    """
    if plan.method not in _EPOCHS:
        raise RequestError(f"There is no search `{plan.method}`. {nearest(plan.method, _EPOCHS)}")
    state = _State(objective, start, groups, first_epoch)
    history = [state.best_loss.mean().item()]
    for epoch in range(first_epoch, plan.epochs):
        _EPOCHS[plan.method](state, plan, epoch)
        state.epochs += 1
        if plan.restart is not None:
            state.restart(plan.restart, epoch)
        history.append(state.best_loss.mean().item())
        if each_epoch is not None:
            each_epoch(state.found(epoch + 1, history))
    return state.found(max(first_epoch, plan.epochs), history)


class _State:
    """Where every block stands, what it scored, and the best that it has seen."""

    def __init__(self, objective: MeasuredLoss, start: Tensor, groups: int, first_epoch: int) -> None:
        self._objective = objective
        self._pending: set[int] | None = None
        self.phases = start.double().clone()
        self.groups = groups
        self.evaluations = 0
        self.epochs = torch.full((len(start),), first_epoch, dtype=torch.int64)
        self.velocity = torch.zeros_like(self.phases)  # of `zgd`
        self.loss = self.measure()
        self.best, self.best_loss = self.phases.clone(), self.loss.clone()

    def measure(self) -> Tensor:
        """Loss [blocks] at `phases`: one evaluation."""
        loss = self._evaluate(self.phases, None if self._pending is None else sorted(self._pending))
        self._pending = set()
        return loss

    def measure_at(self, phases: Tensor) -> Tensor:
        """Loss [blocks] anywhere else: one evaluation."""
        self._pending = None
        return self._evaluate(phases, None)

    def _evaluate(self, phases: Tensor, changed: list[int] | None) -> Tensor:
        loss = self._objective(phases, changed)
        self.evaluations += 1
        if not math.isfinite(loss.sum().item()):
            bad = int((~torch.isfinite(loss)).sum())
            raise WorkError(f"The instrument gave a loss that is not finite in {bad} of {len(loss)} blocks: check it.")
        return loss

    def put(self, index: int, values: Tensor) -> None:
        """Set phase `index` of every block.

        Args:
            index: Which phase.
            values: [blocks] in rad.
        """
        self.phases[:, index] = values
        if self._pending is not None:
            self._pending.add(index)

    def move(self, phases: Tensor) -> None:
        """Set every phase."""
        self.phases = phases
        self._pending = None

    def record(self) -> None:
        """Note where `loss`, measured at `phases`, is the lowest yet."""
        better = (self.loss < self.best_loss).nonzero().squeeze(1)  # often few
        self.best[better] = self.phases[better]
        self.best_loss[better] = self.loss[better]

    def restart(self, restart: Restart, epoch: int) -> None:
        stuck = self.loss > restart.threshold * restart.growth**epoch
        if not stuck.any():
            return
        self.epochs.masked_fill_(stuck, 0)
        self.move(self.phases + restart.nudge * stuck.unsqueeze(-1))
        self.loss = self.measure()
        self.record()

    def found(self, epochs: int, history: list[float]) -> SearchResult:
        return SearchResult(self.best.clone(), self.best_loss.clone(), epochs, self.evaluations, tuple(history))


def _coordinates(state: _State, plan: SearchPlan, epoch: int, *, shuffle: bool) -> list[int]:
    """The order of the phases in one epoch: the same within each group, one group after the other."""
    size = state.phases.shape[1] // state.groups
    order = torch.arange(size)
    if shuffle:
        order = torch.randperm(size, generator=named_generator(plan.seed, "zeroth", "order", epoch))
    return [group * size + int(index) for group in range(state.groups) for index in order]


def _zcd_epoch(state: _State, plan: SearchPlan, epoch: int) -> None:
    step = plan.steps.at(state.epochs)
    for index in _coordinates(state, plan, epoch, shuffle=plan.shuffle):
        here = state.phases[:, index].clone()
        state.put(index, here + step)
        above = state.measure()
        up = above < state.loss
        # blocks that keep +d are measured there again: the evaluation is spent on all blocks anyway
        state.put(index, torch.where(up, here + step, here - step))
        second = state.measure()
        if plan.checked:
            stay = ~up & (second >= state.loss)
            state.put(index, torch.where(stay, here, state.phases[:, index]))
            second = torch.where(stay, state.loss, second)
        state.loss = second
        state.record()


def _ztp_epoch(state: _State, plan: SearchPlan, epoch: int) -> None:
    step = plan.steps.at(state.epochs)
    for index in _coordinates(state, plan, epoch, shuffle=False):
        here = state.phases[:, index].clone()
        offset, loss = torch.zeros_like(here), state.loss
        for trial in (step, -step):
            state.put(index, here + trial)
            measured = state.measure()
            offset = torch.where(measured < loss, trial, offset)
            loss = torch.minimum(measured, loss)
        state.put(index, here + offset)
        state.loss = loss
        state.record()


_SAMPLES, _SPREAD, _MOMENTUM = 3, 0.1, 0.9


def _zgd_epoch(state: _State, plan: SearchPlan, epoch: int) -> None:
    """One epoch of ZGD: as many steps as a group has phases, each from three random directions.

    As published, the estimate mean(delta (L(phi + delta) - L(phi))) is not divided by the variance of delta.
    """
    generator = named_generator(plan.seed, "zeroth", "directions", epoch)
    rate = plan.steps.at(state.epochs).unsqueeze(-1)
    for _ in range(state.phases.shape[1] // state.groups):
        slope = torch.zeros_like(state.phases)
        for _ in range(_SAMPLES):
            direction = _SPREAD * torch.randn(state.phases.shape, generator=generator, dtype=torch.float64)
            slope += direction * (state.measure_at(state.phases + direction) - state.loss).unsqueeze(-1) / _SAMPLES
        state.velocity = _MOMENTUM * state.velocity + slope
        state.move(state.phases - rate * state.velocity)
        state.loss = state.measure()
        state.record()


_EPOCHS: dict[str, Callable[[_State, SearchPlan, int], None]] = {
    "zcd": _zcd_epoch,
    "ztp": _ztp_epoch,
    "zgd": _zgd_epoch,
}
