"""Crossbars in a run: failed cells are found and worked around, and the rest is written as little as can be."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from lightloom import cost as costs
from lightloom import learn as learning
from lightloom.common.progress import follow
from lightloom.common.seeds import named_seed
from lightloom.lab.claims import claim
from lightloom.lab.crossbar import InstrumentedCrossbar, Surveyed, instruments_for, survey
from lightloom.learn.checkpoint import write_tensors
from lightloom.nn import PCMCore, cores
from lightloom.nn import reorder as best_order
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.learning import LearningPlan
from lightloom.pipeline.run_folder import RunFolder
from lightloom.pipeline.technologies.base import Rows, TechnologyStages
from lightloom.schemas import WritesFile, write_plain

_AS_IT_COMES, _REORDERED = "as it comes", "reordered"


class PCMStages(TechnologyStages):
    """Cells are surveyed, weights given those that can hold them, and writes paid for while everything learns."""

    def calibrate(self, run: RunContext, model: nn.Module, targets: Mapping[str, Tensor]) -> Rows:
        """Measure every cell of the specimen: which no longer switch, and how much the others absorb.

        Args:
            run: What the stages share.
            model: The network on its chip.
            targets: The matrix of each layer, as it was trained.
        """
        rows = []
        for bench in _benches(run, model, "calibrate"):
            surveyed = survey(bench.instrument, accuracy=run.config.bench.accuracy)
            surveyed.save(_survey_file(run.folder, bench.layer))
            rows.append(
                {
                    "layer": bench.layer,
                    "calls": surveyed.calls,
                    "arrays": bench.instrument.arrays,
                    "levels_written": int(surveyed.writes.sum()),
                    "stuck": int((surveyed.stuck >= 0).sum()),
                    "readout_noise": surveyed.readout,
                    "absorption_std": surveyed.absorption_std,
                    "suspects": [suspect._asdict() for suspect in surveyed.suspects],
                    **claim(f"Layer `{bench.layer}`", surveyed.misfit, surveyed.caveat),
                }
            )
        return rows

    def map_weights(self, run: RunContext, model: nn.Module, targets: Mapping[str, Tensor]) -> Rows:
        """Give every row of the weights an array row whose cells can hold it, and choose levels that serve there.

        Args:
            run: What the stages share.
            model: The network on its chip.
            targets: The matrix of each layer, as it was trained.
        """
        rows = []
        for bench in _benches(run, model, "map"):
            remapped = bench.remap(Surveyed.load(_survey_file(run.folder, bench.layer)))
            bench.store(remapped)
            rows.append(
                {"layer": bench.layer, "calls": 0, "error_before": remapped.before, "error_after": remapped.after}
            )
        return rows

    def plan_learning(self, run: RunContext, model: nn.Module, plan: LearningPlan) -> LearningPlan:
        """The loss pays for writes, as far as the config asks for it.

        Args:
            run: What the stages share.
            model: The network on its chip.
            plan: What is trained so far, which technologies may change.
        """
        objective = learning.WriteAwareObjective(plan.objective, model, run.config.writes)
        return plan._replace(objective=objective, prepare=objective.prepare)

    def reorder(self, run: RunContext, states: Mapping[str, nn.Module]) -> None:
        """Find the order in which each layer is written least, and count what writing takes with and without it.

        Args:
            run: What the stages share.
            states: States of the network, by name.
        """
        counted: list[costs.ModelWrites] = []
        for name, model in states.items():
            _unordered(model)
            counted.append(costs.count_writes(model, state=name, order=_AS_IT_COMES))
            _follow_best_orders(model, name)
            counted.append(costs.count_writes(model, state=name, order=_REORDERED))
        wear, last = run.config.wear, list(states.values())[-1]
        tally = {
            "chip": run.config.chip.name,
            "rate_hz": wear.rate,
            "inferences": wear.inferences,
            "cases": [case.as_dict(rate=wear.rate, inferences=wear.inferences) for case in counted],
            "index_bits": costs.index_bits(last),
            "weight_bits": costs.weight_bits(last),
        }
        write_plain(run.folder.file("writes.json"), WritesFile, tally)
        write_tensors(run.folder.file("wear.safetensors"), costs.wear_maps(counted))


def _benches(run: RunContext, model: nn.Module, stage: str) -> list[InstrumentedCrossbar]:
    """Each stage reads with noise of its own."""
    seed = named_seed(run.config.seed, stage)
    return instruments_for(model, InstrumentedCrossbar, readout_std=run.config.bench.readout_std, seed=seed)


def _survey_file(folder: RunFolder, layer: str) -> Path:
    return folder.file(f"survey-{layer}.safetensors")


def _unordered(model: nn.Module) -> None:
    """Take columns as they come, where every cell is like the others; else each weight stays where it was mapped to."""
    for core in cores(model, PCMCore).values():
        if core.alike:
            core.place(core.natural)


def _follow_best_orders(model: nn.Module, state: str) -> None:
    layers = cores(model, PCMCore)
    with follow(f"reorder {state}", len(layers)) as report:
        for number, (name, core) in enumerate(layers.items(), 1):
            core.place(best_order(core))
            report(number, name)
