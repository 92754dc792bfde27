"""Progress that a person can follow: a bar on a terminal, a line per step elsewhere, always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Report = Callable[[int, str], None]
"""Call with how many steps are done and a short text about the last one."""


def console() -> Console:
    """Where everything but results is printed."""
    return Console(stderr=True, highlight=False)


@contextmanager
def follow(label: str, total: int, *, shown: bool = True) -> Iterator[Report]:
    """Follow `total` steps of a long piece of work.

    Args:
        label: What is being done.
        total: Number of steps.
        shown: False is silent, as on all but the first of several processes.
    """
    output = console()
    if not shown:
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


def _lines(label: str, total: int, output: Console) -> Report:
    """A line per step, but of quick steps no more than one in a second."""
    last = 0.0

    def report(done: int, text: str) -> None:
        nonlocal last
        if done >= total or time.monotonic() - last >= 1:
            last = time.monotonic()
            output.print(f"{label}  {done}/{total}  {text}", soft_wrap=True, markup=False)

    return report
