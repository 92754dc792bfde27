"""The application, and the options that every verb takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
Source = Annotated[str, typer.Argument(help="A recipe, or the folder of a run.", metavar="RECIPE|RUN")]


def common(seed: int | None, device: str | None) -> list[str]:
    """What every verb takes, as changes of a config."""
    given = {"seed": seed, "device": device}
    return [f"{key}={value}" for key, value in given.items() if value is not None]
