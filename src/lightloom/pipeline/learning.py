"""What learning on a chip is made of, which each technology of the network may add to."""

from __future__ import annotations

from typing import NamedTuple

from lightloom.learn import BatchSampler, Objective, Prepare


class LearningPlan(NamedTuple):
    """How a network learns on its chip."""

    objective: Objective
    prepare: Prepare | None = None
    """Called before every epoch, see `learn.fit`."""
    sampler: BatchSampler | None = None
    """Leaves out some of the batches, see `learn.fit`."""
