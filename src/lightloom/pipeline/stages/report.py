"""The stage that tells the story of the run in one page."""

from __future__ import annotations

from lightloom.pipeline.context import RunContext
from lightloom.pipeline.summary import write_summary
from lightloom.report import write_report


def report(run: RunContext) -> None:
    """Write `summary.json` and the page."""
    write_summary(run.folder)
    write_report(run.folder.path, run.task.sections())
