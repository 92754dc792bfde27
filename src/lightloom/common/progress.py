"""Progress and messages that a person can follow, always on stderr.

Progress is a bar on a terminal and a line per step elsewhere. Messages go through `logging.getLogger("lightloom")`,
which is silent until a program, such as the command line by `show_messages`, installs a handler.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOGGER = logging.getLogger("lightloom")
"""The logger with which the library says what it does."""
Report = Callable[[int, str], None]
"""Call with how many steps are done and a short text about the last one."""


def console() -> Console:
    """The console where everything but results is printed."""
    return Console(stderr=True, highlight=False)


class MessageHandler(logging.Handler):
    """Prints the messages of a logger on stderr, in colour on a terminal."""

    _styles = ((logging.ERROR, "bold red"), (logging.WARNING, "yellow"), (logging.INFO, ""), (logging.DEBUG, "dim"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print one message; a record may name a style of its own in its attribute `style`."""
        try:
            plain = next((style for level, style in self._styles if record.levelno >= level), "dim")
            style = getattr(record, "style", plain)
            console().print(self.format(record), style=style, soft_wrap=True, markup=False)
        except Exception:  # as every handler: a message that cannot be shown must not end the work
            self.handleError(record)


def show_messages(level: int = logging.INFO) -> None:
    """Print the messages of the library from a level on; above `logging.INFO` no progress is shown either.

    Args:
        level: One of the levels of `logging`, such as `logging.DEBUG`.
    """
    if not any(isinstance(handler, MessageHandler) for handler in LOGGER.handlers):
        LOGGER.addHandler(MessageHandler())
    LOGGER.setLevel(level)


@contextmanager
def follow(label: str, total: int, *, shown: bool = True) -> Iterator[Report]:
    """Follow `total` steps of a long piece of work.

    Args:
        label: What is being done.
        total: Number of steps.
        shown: False is silent, as on all but the first of several processes. So is a logger that shows only warnings.
    """
    output = console()
    if not shown or is_quiet():
        yield lambda done, text: None
    elif not output.is_terminal:
        yield _lines(label, total, output)
    else:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(24),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, TextColumn("{task.fields[text]}", markup=False), console=output) as bar:
            task = bar.add_task(label, total=total, text="")
            yield lambda done, text: bar.update(task, completed=done, text=text)


def is_quiet() -> bool:
    """Whether the level of the logger was set above `logging.INFO`, which silences progress as well."""
    return LOGGER.level > logging.INFO


def _lines(label: str, total: int, output: Console) -> Report:
    """A line per step, but of quick steps no more than one in a second."""
    last = 0.0

    def report(done: int, text: str) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last >= 1:
            last = time.monotonic()
            output.print(f"{label}  {done}/{total}  {text}", soft_wrap=True, markup=False)

    return report
