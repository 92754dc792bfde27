"""What a run came to, in one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError
from lightloom.pipeline.comparison import summarise
from lightloom.pipeline.run_folder import RunFolder
from lightloom.schemas import BenchStage, CostFile, Evaluation, Summary, SweepRow, read, write
from lightloom.tasks import task_of


def write_summary(folder: RunFolder) -> dict[str, Any]:
    """Write `summary.json` from what the stages have left, and return it.

    `values` are those of the primary metric of the task, which `metric` names: of each state of the network, or of each
    case of a comparison.
    """
    config, file = folder.config, folder.file
    changes = [change for change in config.changes if not change.startswith("seed=")]
    summary: dict[str, Any] = {"recipe": config.recipe, "seed": config.seed, "overrides": changes, "task": config.task}
    if file("sweep.json").exists():
        sweep = summarise(read(file("sweep.json"), list[SweepRow], strict=True), config.sweep)
        values = {row.case: row.value for row in sweep.cases}
        summary |= {"sweep": sweep, "metric": task_of(config).metric, "values": values}
    if file("bench.json").exists():
        bench = read(file("bench.json"), dict[str, BenchStage], strict=True)
        summary["bench_calls"] = {state: row.calls for state, row in bench.items()}
    if file("evaluation.json").exists() and "evaluate" in folder.done:  # else it is of what was there before
        evaluation = read(file("evaluation.json"), Evaluation, strict=True)
        summary |= {"metric": evaluation.metric, "values": evaluation.values}
    if file("cost.json").exists() and "cost" in folder.done:
        summary |= _cost(read(file("cost.json"), CostFile, strict=True))
    summary |= {"seconds": folder.done, "run": str(folder.path)}
    record = Summary(**summary)
    write(file("summary.json"), record)
    return record.plain()


def last_value(path: Path) -> dict[str, Any] | None:
    """The primary metric of the last state or case in a `summary.json`; None where nothing was evaluated.

    Returns:
        `name`, `percent`, `unit` and `value` of the metric, and in `of` the state or case.

    Raises:
        RequestError: The file is damaged.
    """
    summary = read(path, Summary, Summary())
    if summary.metric is None or not summary.values:
        return None
    of, value = list(summary.values.items())[-1]
    return {**summary.metric.plain(), "value": value, "of": of}


def _cost(cost: CostFile) -> dict[str, Any]:
    """What the summary takes of the cost: the widest boundary, and what was learned on the chip."""
    widest = cost.boundaries[-1] if cost.boundaries else None
    calls = cost.counts.get("calls")
    if widest is None or widest.energy_j is None or widest.latency_s is None or calls is None:
        raise RequestError(
            "`cost.json` does not hold what a run writes there: a boundary with its energy and latency, and the count "
            "of calls. Do the stage `cost` again."
        )
    totals = {
        "chip_calls": calls,
        "energy_j": widest.energy_j,
        "latency_s": widest.latency_s,
        "boundary": widest.name,
    }
    return totals if cost.learning is None else totals | {"learning": cost.learning}
