"""The command line: verbs, arguments, exit codes. Everything heavy is imported inside a verb."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from lightloom.common.errors import LightloomError, RequestError, nearest
from lightloom.common.processes import is_main

app = typer.Typer(
    help="Put neural networks on photonic chips.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as one JSON object, the last line of stdout.")]
Seed = Annotated[int | None, typer.Option(help="Seed of the run; the recipe's own by default.")]
Device = Annotated[str | None, typer.Option(help="`auto` takes a GPU where there is one; `cpu` never does.")]
Out = Annotated[Path | None, typer.Option(help="Folder to write to.")]
Changes = Annotated[
    list[str] | None, typer.Argument(help="`key=value` changes, such as `train.epochs=5` or `chip=noems`.")
]
RunPath = Annotated[Path, typer.Argument(help="Folder of a run.", metavar="RUN")]


@app.command()
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
    """Run a recipe from data to report."""

    def work() -> dict[str, Any]:
        from lightloom.config import to_yaml
        from lightloom.recipes import resolve
        from lightloom.run import run as run_recipe

        extra = [f"data.root={data}"] if data is not None else []
        config = resolve(recipe, [*(changes or []), *extra, *_common(seed, device)])
        if print_config:
            typer.echo(to_yaml(config), nl=False)
            return {}
        return run_recipe(config, out, resume=resume)

    _answer(work, as_json, _show_summary)


def _stage_verb(stage: str, help_text: str) -> None:
    """Add a verb that repeats one stage of a run."""

    def verb(
        run: RunPath,
        changes: Changes = None,
        out: Out = None,
        seed: Seed = None,
        device: Device = None,
        as_json: AsJson = False,
    ) -> None:
        def work() -> dict[str, Any]:
            from lightloom.run import repeat

            return repeat(run, stage, [*(changes or []), *_common(seed, device)], out=out)

        _answer(work, as_json, _show_summary)

    app.command(stage, help=f"{help_text} Works on a run folder, or with `--out` on a copy of it.")(verb)


_stage_verb("train", "Train the electronic network again.")
_stage_verb("program", "Convert the trained network and program it onto a specimen again.")
_stage_verb("learn", "Learn on the chip again.")
_stage_verb("evaluate", "Measure every state of the network on the test images.")
_stage_verb("cost", "Count cores, calls, energy and time of one inference.")
_stage_verb("report", "Write the report.")


@app.command()
def convert(
    source: Annotated[str, typer.Argument(help="A recipe, or the folder of a run.", metavar="RECIPE|RUN")],
    changes: Changes = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Show what conversion does with each layer of a network; with `--out` keep the table as `layers.json` there."""

    def work() -> dict[str, Any]:
        from lightloom.preview import preview_conversion

        return preview_conversion(source, [*(changes or []), *_common(seed, device)], out)

    _answer(
        work,
        as_json,
        lambda result: _table(result["layers"], ("name", "kind", "shape", "blocks", "mzis", "reason")),
    )


@app.command()
def recipes(out: Out = None, seed: Seed = None, device: Device = None, as_json: AsJson = False) -> None:
    """List the recipes."""

    def work() -> dict[str, Any]:
        from lightloom.recipes import describe

        return {"recipes": describe()}

    _answer(work, as_json, lambda result: _table(result["recipes"], ("name", "what", "switches")), out)


@app.command()
def chips(
    name: Annotated[str | None, typer.Argument(help="Show this one whole.")] = None,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """List the chips, or show one with its constants and their sources."""

    def work() -> dict[str, Any]:
        from lightloom.chips import PRESETS, preset

        if name is not None:
            return preset(name).model_dump(mode="json")
        return {"chips": [chip.model_dump(mode="json", exclude={"devices"}) for chip in PRESETS.values()]}

    columns = ("name", "block_size", "field", "layout", "weight_bits", "gamma_std", "crosstalk", "phase_bias")
    _answer(work, as_json, lambda r: _table(r["chips"], columns) if "chips" in r else _show_yaml(r), out)


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="`mesh` or `layer`.")],
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Measure one claim, as ratios within one run."""

    def work() -> dict[str, Any]:
        from lightloom.bench import BENCHES

        if name not in BENCHES:
            raise RequestError(f"There is no bench `{name}`. {nearest(name, BENCHES)}")
        return BENCHES[name](seed or 0)

    _answer(work, as_json, _show_yaml, out)


@app.command()
def doctor(
    build_kernels: Annotated[bool, typer.Option(help="Compile the fast mesh kernels; needs a C++ compiler.")] = False,
    out: Out = None,
    seed: Seed = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Check what is installed, and build the optional kernels."""

    def work() -> dict[str, Any]:
        from lightloom.doctor import examine

        return examine(build_kernels=build_kernels)

    _answer(work, as_json, _show_yaml, out)


def main() -> None:
    """Entry point of the `lightloom` command."""
    app()


def _common(seed: int | None, device: str | None) -> list[str]:
    given = {"seed": seed, "device": device}
    return [f"{key}={value}" for key, value in given.items() if value is not None]


def _answer(
    work: Callable[[], dict[str, Any]],
    as_json: bool,
    show: Callable[[dict[str, Any]], None],
    out: Path | None = None,
) -> None:
    """Do the work, print its result, and turn failures into exit codes: 1 it failed, 2 the request was wrong."""
    result: dict[str, Any] = {}
    try:
        result = work()
        if out is not None:
            from lightloom.common.files import make_folder, write_json

            write_json(make_folder(out) / "result.json", result)
    except LightloomError as error:
        _fail(str(error), error.exit_code, as_json)
    except KeyboardInterrupt:
        _fail("Stopped. What was finished is kept; go on with `--resume`.", 130, as_json)
    if not is_main():
        return
    if as_json:
        typer.echo(json.dumps(result, allow_nan=False))
    elif result:
        show(result)


def _fail(message: str, code: int, as_json: bool) -> None:
    typer.echo(f"error: {message}", err=True)
    if as_json:
        typer.echo(json.dumps({"error": message, "exit_code": code}))
    sys.exit(code)


def _show_summary(result: dict[str, Any]) -> None:
    for state, accuracy in result.get("accuracy", {}).items():
        typer.echo(f"{state:12} {100 * accuracy:6.2f} % of the test images")
    if "energy_j" in result:
        typer.echo(
            f"{'inference':12} {result['chip_calls']} chip calls, {result['energy_j'] * 1e9:.3g} nJ "
            f"({result['boundary']}), {result['latency_s'] * 1e9:.3g} ns"
        )
    typer.echo(f"{'run':12} {result['run']}")
    report = Path(result["run"]) / "report.html"
    if report.exists():
        typer.echo(f"{'report':12} {report}")


def _show_yaml(result: dict[str, Any]) -> None:
    import yaml

    typer.echo(yaml.safe_dump(result, sort_keys=False, allow_unicode=True), nl=False)


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(_cell(row[column])) for column in columns))
    Console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "exact"
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
