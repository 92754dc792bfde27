"""What a run came to, in one file."""

from __future__ import annotations

from typing import Any

from lightloom.common.files import write_json
from lightloom.common.records import read_record
from lightloom.pipeline.comparison import summarise
from lightloom.pipeline.run_folder import RunFolder
from lightloom.stage_records import BenchState, Evaluation, Priced, SweepRow


def write_summary(folder: RunFolder) -> dict[str, Any]:
    """Write `summary.json` from what the stages have left, and return it.

    The values of the primary metric stand under its own name: of each state of the network, or of each case of a
    comparison.
    """
    config = folder.config
    changes = [change for change in config.changes if not change.startswith("seed=")]
    summary: dict[str, Any] = {"recipe": config.recipe, "seed": config.seed, "overrides": changes}
    evaluation, bill, bench = (folder.file(name) for name in ("evaluation.json", "cost.json", "bench.json"))
    compared = folder.file("sweep.json")
    if compared.exists():
        sweep = summarise(read_record(compared, list[SweepRow]), config.sweep)
        metric = sweep["metric"]
        summary |= {"sweep": sweep, "metric": metric, metric: {row["case"]: row[metric] for row in sweep["cases"]}}
    if bench.exists():
        calls = read_record(bench, dict[str, BenchState])
        summary["bench_calls"] = {state: row["calls"] for state, row in calls.items()}
    if evaluation.exists() and "evaluate" in folder.done:  # else it is of what was there before
        measured = read_record(evaluation, Evaluation)
        metric = measured["metric"]["name"]
        summary |= {"metric": metric, metric: {state: row[metric] for state, row in measured["states"].items()}}
        summary |= {} if measured["metric"]["chance"] is None else {"chance": measured["metric"]["chance"]}
    if bill.exists() and "cost" in folder.done:
        summary |= _cost(read_record(bill, Priced))
    summary |= {"seconds": folder.done, "run": str(folder.path)}
    write_json(folder.file("summary.json"), summary)
    return summary


def _cost(priced: dict[str, Any]) -> dict[str, Any]:
    widest = priced["boundaries"][-1]
    cost = {
        "chip_calls": priced["counts"]["calls"],
        "energy_j": widest["energy_j"],
        "latency_s": widest["latency_s"],
        "boundary": widest["name"],
    }
    return cost | ({"learning": priced["learning"]} if "learning" in priced else {})
