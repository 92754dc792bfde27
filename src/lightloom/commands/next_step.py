"""The verb that goes on from what a run holds."""

from __future__ import annotations

import shlex
from pathlib import Path

from lightloom.pipeline.context import STATES
from lightloom.pipeline.run import STAGES
from lightloom.pipeline.run_folder import RunFolder
from lightloom.tasks import task_of


def next_step(path: Path, after: str = "run") -> str:
    """The command that comes next for a run.

    The first stage that is missing comes first, then the report, then what is done with a network on a chip.

    Args:
        path: Folder of the run.
        after: The verb that was done just now, which is not proposed again.

    Raises:
        RequestError: There is no run in `path`.
    """
    folder = RunFolder.open(path)
    done = folder.done
    missing = next((stage for stage in STAGES if stage in folder.config.stages and stage not in done), None)
    if missing is not None:
        return _command(missing, path)
    if after != "report" or not folder.file("report.html").exists():
        return f"{_command('report', path)} --open"
    if any(stage in done for state, stage in STATES.items() if state != "electronic"):
        if not folder.file("export").exists():
            return _command("export", path)
        if task_of(folder.config).classifies:
            return _command("explore", path)
    return _command("run", folder.config.recipe, "--print-config")


def _command(*words: str | Path) -> str:
    return shlex.join(["lightloom", *map(str, words)])
