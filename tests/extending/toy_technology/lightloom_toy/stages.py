"""What the stages of a run mean on it."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from lightloom.common.seeds import named_seed
from lightloom.lab.instrumented import instruments_for
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.technologies.base import Rows, TechnologyStages
from lightloom_toy.bench import ToyBench


class ToyStages(TechnologyStages):
    """Gains are measured and trimmed away; nothing is left to map."""

    def calibrate(self, run: RunContext, model: nn.Module, targets: Mapping[str, Tensor]) -> Rows:
        """Trim every core."""
        seed = named_seed(run.config.seed, "calibrate")
        rows: Rows = []
        for bench in instruments_for(model, ToyBench, readout_std=run.config.bench.readout_std, seed=seed):
            spread = bench.trim()
            rows.append({"layer": bench.layer, "calls": bench.instrument.calls, "gain_std": spread})
        return rows

    def map_weights(self, run: RunContext, model: nn.Module, targets: Mapping[str, Tensor]) -> Rows:
        """Leave the cores as they were trimmed."""
        return []
