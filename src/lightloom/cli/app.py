"""The application, and the options that every verb takes."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

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

_VERBOSE, _QUIET = "Say more on the way.", "Say warnings and errors alone, and show no progress."


@app.callback()
def messages(
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help=_VERBOSE)] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help=_QUIET)] = False,
) -> None:
    """Put neural networks on photonic chips.

    Args:
        verbose: Say more on the way.
        quiet: Say warnings and errors alone, and show no progress.
    """
    from lightloom.common.progress import show_messages

    show_messages(_level(verbose, quiet))


def verb(name: str | None = None, help: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a function that is a verb: it takes `-v` and `-q`, as the application does, besides its own options.

    Args:
        name: Of the verb; None is that of the function.
        help: What it does; None is the docstring of the function, without its arguments.
    """

    def add(work: Callable[..., None]) -> Callable[..., None]:
        @wraps(work)
        def with_messages(*, verbose: bool, quiet: bool, **options: Any) -> None:
            if verbose or quiet:
                messages(verbose, quiet)
            work(**options)

        own = inspect.signature(work, eval_str=True).parameters.values()
        parameters = [*own, *inspect.signature(messages, eval_str=True).parameters.values()]
        vars(with_messages)["__signature__"] = inspect.Signature(parameters)
        with_messages.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        text = inspect.getdoc(work) or ""
        app.command(name, help=help or text.partition("\n\nArgs:")[0])(with_messages)
        return work

    return add


def common(seed: int | None, device: str | None) -> list[str]:
    """The options that every verb takes, as changes of a config.

    Args:
        seed: Of the run; None leaves that of the recipe.
        device: "auto" or "cpu"; None leaves that of the recipe.
    """
    options = {"seed": seed, "device": device}
    return [f"{key}={value}" for key, value in options.items() if value is not None]


def _level(verbose: bool, quiet: bool) -> int:
    if verbose and quiet:
        raise typer.BadParameter("say more or less: `--verbose` and `--quiet` do not go together")
    return logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO
