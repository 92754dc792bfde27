"""Verbs that run recipes, and stages of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lightloom.cli.app import AsJson, Changes, Device, Out, RunPath, Seed, common, verb
from lightloom.cli.output import answer, show_runs, show_summary, table


@verb()
def run(
    recipe: Annotated[str, typer.Argument(help="See `lightloom recipes`.")],
    changes: Changes = None,
    resume: Annotated[bool, typer.Option(help="Go on with the run in `--out`.")] = False,
    print_config: Annotated[bool, typer.Option(help="Print the resolved config and stop.")] = False,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    data: Annotated[Path | None, typer.Option(help="Folder with the data sets; else `LIGHTLOOM_DATA`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe from data to report.

    Args:
        recipe: Name of a recipe.
        changes: `key=value` changes of the config.
        resume: Go on with the run in `out`.
        print_config: Print the resolved config and stop.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        data: Folder with the data sets; `LIGHTLOOM_DATA` by default.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.config import to_yaml
        from lightloom.pipeline.run import run as run_recipe
        from lightloom.recipes import resolve

        extra = [f"data.root={data}"] if data is not None else []
        config = resolve(recipe, [*(changes or []), *extra, *common(seed, device)])
        if print_config:
            typer.echo(to_yaml(config), nl=False)
            return {}
        return _with_next(run_recipe(config, out, resume=resume), "run")

    answer(work, as_json, show_summary)


def _stage_verb(stage: str, help_text: str) -> None:
    """Add a verb that repeats one stage of a run."""

    def work_on(
        run: RunPath,
        changes: Changes = None,
        out: Out = None,
        seed: Seed = None,
        device: Device = None,
        as_json: AsJson = False,
    ) -> None:
        def work() -> dict[str, Any]:
            from lightloom.pipeline.run import repeat

            return _with_next(repeat(run, stage, [*(changes or []), *common(seed, device)], out=out), stage)

        answer(work, as_json, show_summary)

    verb(stage, help=f"{help_text} Works on a run folder, or with `--out` on a copy of it.")(work_on)


_stage_verb("train", "Train the electronic network again.")
_stage_verb("program", "Convert the trained network and program it onto a specimen again.")
_stage_verb("calibrate", "Identify the devices of the specimen, and program them for what they are.")
_stage_verb("map", "Look at the programmed blocks and correct them.")
_stage_verb("learn", "Learn on the chip again.")
_stage_verb("reorder", "Find the order in which PCM cells are written least, and count the writes.")
_stage_verb("sweep", "Train every case of a comparison again.")
_stage_verb("evaluate", "Measure every state of the network on the test images.")
_stage_verb("cost", "Count cores, calls, energy and time of one inference.")


@verb()
def report(
    run: RunPath,
    changes: Changes = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in the browser of this machine.")] = False,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Write the report. Works on a run folder, or with `--out` on a copy of it.

    Args:
        run: Folder of a run.
        changes: `key=value` changes of the config.
        open_page: Open the page in the browser of this machine.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.commands.browser import open_in_browser
        from lightloom.pipeline.run import repeat

        result = repeat(run, "report", [*(changes or []), *common(seed, device)], out=out)
        opened = {"opened": open_in_browser(Path(result["run"]) / "report.html")} if open_page else {}
        return _with_next(result | opened, "report")

    answer(work, as_json, show_summary)


@verb()
def runs(
    folder: Annotated[Path | None, typer.Argument(help="Folder that holds run folders; `runs` by default.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """List runs: recipe, date, metric of the last state, and how far each came.

    Args:
        folder: Folder that holds run folders; `runs` by default.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.commands.runs import list_runs

        return {"runs": list_runs(folder)}

    answer(work, as_json, show_runs, out)


def _with_next(result: dict[str, Any], verb: str) -> dict[str, Any]:
    """The summary of a run, and what comes next; another process than the first has neither."""
    from lightloom.commands.next_step import next_step

    return {**result, "next": next_step(Path(result["run"]), verb)} if result else result


@verb()
def convert(
    source: Annotated[str, typer.Argument(help="A recipe, or the folder of a run.", metavar="RECIPE|RUN")],
    changes: Changes = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Show what conversion does with each layer of a network; with `--out` keep the table as `layers.json` there.

    Args:
        source: A recipe, or the folder of a run.
        changes: `key=value` changes of the config.
        out: Folder to write to.
        seed: Seed of the run; the recipe's own by default.
        device: "auto" takes a GPU where there is one; "cpu" never does.
        as_json: Print the result as one JSON object.
    """

    def work() -> dict[str, Any]:
        from lightloom.commands.preview import preview_conversion

        return preview_conversion(source, [*(changes or []), *common(seed, device)], out)

    answer(
        work,
        as_json,
        lambda result: table(result["layers"], ("name", "kind", "shape", "chip", "blocks", "mzis", "cells", "reason")),
    )
