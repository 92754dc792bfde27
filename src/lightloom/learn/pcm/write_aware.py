"""Write-aware training: what the cells of a PCM chip will be written is paid for, beside the objective's own loss.

Source: Zhu et al., "ELight", ASP-DAC 2022. Published is a pull of every block towards the mean of its block row; here
the loss may also be the writes themselves, along the order that the chip will follow, which is found again before every
epoch. The strength is applied once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field
from torch import Tensor, nn

from lightloom.common.config import Section
from lightloom.learn.objective import Objective
from lightloom.nn import PCMCore, cores, reorder
from lightloom.physics.pcm import writes
from lightloom.physics.pcm.order import Sharing
from lightloom.physics.pcm.penalty import Penalty
from lightloom.physics.pcm.schedule import Schedule, sequence
from lightloom.physics.pcm.writes import Start

_RELEASE = 0.6


class WriteAware(Section):
    """What training pays for writes."""

    strength: float = Field(0.0, ge=0)
    """Factor of the penalty in the loss; 0 trains without."""
    release: float = Field(0.0, ge=0, le=1)
    """Share of the training, at its end, over which the strength falls to nothing, epoch by epoch: what was brought
    together mostly stays, and the accuracy comes back."""
    reference: Literal["row_mean", "global_mean", "previous", "erased"] = "row_mean"
    """What a level is pulled to: the mean over the turns of its array row (published), the mean over all arrays and
    turns, the level of the turn before in the order that will be used, or the erased pair."""
    norm: Literal["l1", "l2"] = "l2"
    """Distance in levels, or its square (published)."""
    balance: Literal["layers", "cells"] = "layers"
    """Whether every layer counts the same (published) or every cell, so that the loss is the share of all writes."""


def for_sharing(sharing: Sharing, strength: float, start: Start = "erased") -> WriteAware:
    """The loss that serves a way of sharing inputs.

    Where every cell is sorted by itself, what is written is the range of its levels, and a square pulls hardest at the
    ends of it: towards the erased pair where an inference starts from there, else towards the mean of the cell. Where
    an order serves many cells, it is the sum of all steps along that order. Squares of
    distances below one are small, hence twice the strength for them.

    Args:
        sharing: What decides when an input is due.
        strength: As `WriteAware.strength`; it falls to nothing over the last 60 % of the training.
        start: What an inference finds in the cells.
    """
    if sharing == "row_private":
        reference: Literal["erased", "row_mean"] = "erased" if start == "erased" else "row_mean"
        return WriteAware(strength=2 * strength, release=_RELEASE, reference=reference, norm="l2", balance="cells")
    return WriteAware(strength=strength, release=_RELEASE, reference="previous", norm="l1", balance="cells")


class WriteAwareObjective:
    """An objective whose training loss also pays for writes, and whose metrics tell them.

    Args:
        objective: Loss and metrics of the model itself; its primary metric decides which epoch is best.
        model: With PCM cores; they are asked for their penalty in every training step.
        config: What is paid.

    Raises:
        ValueError: The model has no PCM core.
    """

    def __init__(self, objective: Objective, model: nn.Module, config: WriteAware) -> None:
        self.objective, self.config = objective, config
        self.strength = config.strength
        self.cores = cores(model, PCMCore)
        if not self.cores:
            raise ValueError("there are no cells to write: the model has no layer on a PCM chip; use `convert` first")
        counts = {name: core.matrix.numel() for name, core in self.cores.items()}
        total = sum(counts.values())
        every_cell = config.balance == "cells"
        # what a resumed training starts from, too: an order must follow from the weights alone
        self.homes = {name: core.schedule_on_cpu() for name, core in self.cores.items()}
        self.shares = {name: count / total if every_cell else 1.0 for name, count in counts.items()}

    @property
    def metric(self) -> str:
        """Name of the primary metric, that of the objective which is wrapped."""
        return self.objective.metric

    @property
    def higher_is_better(self) -> bool:
        """Whether a larger value of the primary metric is a better model."""
        return self.objective.higher_is_better

    def prepare(self, model: nn.Module, done: float = 0.0) -> None:
        """Find the order that the present levels would be written in, and ask for the penalty along it.

        Args:
            model: As given before.
            done: Share of the training that is done.
        """
        release = self.config.release
        self.strength = self.config.strength * (min(1.0, (1 - done) / release) if release else 1.0)
        for name, core in self.cores.items():
            core.penalty = None if self.config.strength == 0 else self._penalty(core, self.homes[name])

    def loss(self, outputs: Any, targets: Tensor) -> Tensor:
        """The loss that is wrapped and, in training, the penalty of the forward pass that made the outputs.

        Args:
            outputs: What the model returned.
            targets: The targets of the batch.
        """
        loss = self.objective.loss(outputs, targets)
        for name, core in self.cores.items():
            if core.paid is not None:
                loss = loss + self.strength * self.shares[name] * core.paid
                core.paid = None
        return loss

    def evaluate(self, model: nn.Module, data: Any) -> Mapping[str, float]:
        """The metrics that are wrapped, and `writes`: levels written per inference in the order as it stands.

        Args:
            model: As given before.
            data: The set to measure on.
        """
        metrics = self.objective.evaluate(model, data)
        return {**metrics, "writes": float(sum(levels_written(core) for core in self.cores.values()))}

    def _penalty(self, core: PCMCore, home: Schedule) -> Penalty:
        config = self.config
        penalty = Penalty(core.chip.block_size, core.groups, config.reference, config.norm, core.chip.start)
        if config.reference != "previous":
            return penalty
        core.place(reorder(core, home))
        plan = core.schedule
        return penalty._replace(rows=plan.rows, columns=plan.columns)


def levels_written(core: PCMCore) -> int:
    """Levels that all cells of a core are written per inference, in its present order."""
    return writes.total(writes.count(sequence(core.levels().cpu(), core.schedule_on_cpu()), core.chip.start))
