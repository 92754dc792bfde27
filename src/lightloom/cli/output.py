"""How a verb answers: in words or as one JSON object, and with which exit code."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import typer

from lightloom.common.errors import LightloomError
from lightloom.common.processes import is_main

_FULL = ("can't allocate memory", "out of memory")
_SMALLER = "Make the network, the images or `batch_size` smaller. What was finished is kept."


def answer(
    work: Callable[[], dict[str, Any]],
    as_json: bool,
    show: Callable[[dict[str, Any]], None],
    out: Path | None = None,
) -> None:
    """Do the work, print its result, and turn failures into exit codes: 1 it failed, 2 the request was wrong.

    Args:
        work: Gives the result.
        as_json: Print the result, or the failure, as one JSON object in the last line of stdout.
        show: Prints the result in words.
        out: Folder to write the result to as `result.json`; None writes none.
    """
    result: dict[str, Any] = {}
    try:
        if out is not None:
            from lightloom.common.files import reserve
            from lightloom.common.marks import claim

            reserve(claim(out, "output") / "result.json")
        result = work()
        if out is not None:
            from lightloom.common.files import write_json

            write_json(out / "result.json", result)
    except LightloomError as error:
        _fail(str(error), error.exit_code, as_json, getattr(error, "__notes__", ()))
    except (MemoryError, RuntimeError) as error:
        if not _ran_out_of_memory(error):
            raise
        _fail(
            f"The memory of this machine is not enough: {str(error) or 'it is full'}. {_SMALLER}",
            1,
            as_json,
            getattr(error, "__notes__", ()),
        )
    except KeyboardInterrupt as error:
        notes = getattr(error, "__notes__", ())
        hint = "What was finished is kept; go on with `--out FOLDER`, to which `run` wants `--resume` added."
        _fail(f"Stopped. {hint}", 130, as_json, notes)
    if not is_main():
        return
    if as_json:
        typer.echo(json.dumps(result, allow_nan=False))
    elif result:
        show(result)


def _ran_out_of_memory(error: Exception) -> bool:
    """Python says so by type, torch by its text on the CPU."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _FULL)


def _fail(message: str, code: int, as_json: bool, notes: Sequence[str] = ()) -> None:
    """Say what went wrong, then what goes on from there, and end."""
    typer.echo("\n".join([f"error: {message}", *notes]), err=True)
    if as_json:
        typer.echo(json.dumps({"error": message, "exit_code": code}))
    sys.exit(code)


def show_summary(result: dict[str, Any]) -> None:
    """A run in a few lines: the primary metric of each state of the network, or of each case of a comparison."""
    cases = (result["sweep"] or {}).get("cases", [])
    width = max([12, *(len(case["case"]) for case in cases)])
    for case in cases:
        typer.echo(f"{case['case']:{width}} {_mean(case, result['metric'])}")
    for state, value in ({} if cases else result["values"]).items():
        typer.echo(f"{state:{width}} {_value(value, result['metric'])} on the test set")
    if result["energy_j"] is not None:
        typer.echo(
            f"{'inference':{width}} {result['chip_calls']:g} chip calls, {result['energy_j'] * 1e9:.3g} nJ "
            f"({result['boundary']}), {result['latency_s'] * 1e9:.3g} ns"
        )
    typer.echo(f"{'run':{width}} {result['run']}")
    report = Path(result["run"]) / "report.html"
    if report.exists():
        typer.echo(f"{'report':{width}} {report}")
    if result.get("opened") is False:
        typer.echo(f"There is no browser here to open it in; open `{report}` in one of yours.", err=True)
    if "next" in result:
        typer.echo(f"{'next':{width}} {result['next']}")


def show_runs(result: dict[str, Any]) -> None:
    """One line a run; what is wrong with a damaged one goes to stderr."""
    lines = [tuple(map(str, _run_cells(row))) for row in result["runs"]]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    if not lines:
        typer.echo("There is no run here yet; `lightloom run onchip/digits` makes one.")
    for row in result["runs"]:
        if row["problem"]:
            typer.echo(f"{row['run']}: {row['problem']}", err=True)


def _run_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Folder, recipe, date, state and metric of a run, as they are listed."""
    state = f"{row['state']}, process {row['process']}" if row["process"] else row["state"]
    metric = row["metric"]
    value = f"{_value(metric['value'], metric).strip()} ({metric['of']})" if metric else "-"
    return row["run"], row["recipe"] or "?", row["date"][:16].replace("T", " ") or "?", state, value


def _value(value: float | None, metric: dict[str, Any]) -> str:
    """A metric as people read it, with its name."""
    if value is None:
        return f"no {metric['name']}"
    return f"{_number(value, metric)} {metric['name'].replace('_', ' ')}"


def _number(value: float, metric: dict[str, Any]) -> str:
    return f"{100 * value:6.2f} %" if metric["percent"] else f"{value:8.4g}{metric['unit'] and ' '}{metric['unit']}"


def _mean(case: dict[str, Any], metric: dict[str, Any]) -> str:
    """The metric of one case, with its standard deviation where there is more than one seed."""
    if case["seeds"] == 1:
        return f"{_value(case['value'], metric)}, 1 seed"
    spread = f"{100 * case['std']:.2f} %" if metric["percent"] else f"{case['std']:.2g}"
    return f"{_value(case['value'], metric)} +- {spread}, {case['seeds']} seeds"


def show_sweep(result: dict[str, Any]) -> None:
    """The points of a sweep as a table, the Pareto front marked."""
    from lightloom.explore import as_text

    for line in as_text(result):
        typer.echo(line)
    typer.echo(f"run          {result['run']}\nreport       {result['report']}")


def show_bill(result: dict[str, Any]) -> None:
    """What one inference takes: each boundary, the area, and the same network on electronics."""
    rows = [(row["name"], row["energy_j"], row["latency_s"]) for row in result["boundaries"]]
    rows += [(row["name"], row["energy_j"], row["latency_s"]) for row in result["references"]]
    width = max(len(name) for name, *_ in rows)
    for name, energy, latency in rows:
        typer.echo(f"{name:{width}}  {energy * 1e3:10.4g} mJ  {latency * 1e6:10.4g} us")
    counts = result["counts"]
    typer.echo(
        f"{len(result['layers'])} layers, {counts['cores']:,} cores of `{result['chip']}`, {result['schedule']}-"
        f"stationary; {result['area_m2'] * 1e6:.4g} mm2, {result['throughput_per_s']:.4g} inferences per s, "
        f"{result['tops_per_w']:.3g} TOPS/W"
    )


def show_detections(result: dict[str, Any]) -> None:
    """How many objects of each class are in each image, and which images could not be read; else as it is, in YAML."""
    if "images" not in result:  # a task that says something else of its samples
        show_yaml(result)
        return
    for image in result["images"]:
        names = [detection["class"] for detection in image["found"]]
        counts = ", ".join(f"{names.count(name)} {name}" for name in result["classes"] if name in names)
        typer.echo(f"{image['file']}  {counts or 'nothing'}")
    for failure in result["failed"]:
        typer.echo(f"not read: {failure['why']}", err=True)
    for note in result.get("notes", ()):
        typer.echo(f"note: {note}.", err=True)


def show_yaml(result: dict[str, Any]) -> None:
    """Any result, as YAML."""
    import yaml

    typer.echo(yaml.safe_dump(result, sort_keys=False, allow_unicode=True), nl=False)


def table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    """Print rows of a result under the names of their columns.

    Args:
        rows: Value by column, for each row.
        columns: Names of the columns that are shown, in order.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for number, column in enumerate(columns):
        table.add_column(column.replace("_", "_\n"), no_wrap=number == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_cell(row[column])) for column in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "exact"
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
