"""The stage that counts what one inference takes."""

from __future__ import annotations

from lightloom import cost as costs
from lightloom.pipeline.cases import load_case
from lightloom.pipeline.comparison import first_trainings
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.technologies.base import technologies_in
from lightloom.schemas import CostFile, HybridFile, write_plain


def cost(run: RunContext) -> None:
    """Count what one inference takes on the chip, and what the learning took; or one inference of every case."""
    if "sweep" in run.config.stages:
        _compare(run)
    else:
        _account(run)


def _account(run: RunContext) -> None:
    model, data = run.network(run.latest_state()), run.chip_data
    sample = run.task.example(data)
    bill = costs.estimate(model, sample, system=run.config.system).as_dict()
    technologies = technologies_in(model)
    measured = technologies and not any(technology.trains_everything for technology in technologies)
    if run.latest_state("learned") == "learned" and measured:  # gradients of the subspace are measured on the chip
        config = run.config
        samples = len(data.train) * config.learn.epochs
        learning = costs.learning_cost(costs.trace(model, sample), samples, config.sampling, config.learn.batch_size)
        bill["learning"] = {
            **learning.calls,
            "steps": int(learning.totals["all"]["steps"]),
            "energy_j": learning.energy_j,
            "time_s": learning.time_s,
        }
        bill["learning_detail"] = learning.as_dict()
    write_plain(run.folder.file("cost.json"), CostFile, bill)


def _compare(run: RunContext) -> None:
    bills = {}
    for training in first_trainings(run.config):
        data = run.task.data(training.config)
        model = load_case(run.folder, training, run.task.interface(data)).model
        bills[training.case.name] = costs.hybrid_cost(model, run.task.example(data))
    write_plain(run.folder.file("hybrid.json"), HybridFile, costs.hybrid_file(bills))
