"""A state of a run as files that other programs read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError, nearest
from lightloom.export import export
from lightloom.pipeline.context import STATES, Work
from lightloom.pipeline.run_folder import RunFolder


def export_run(path: Path, formats: Sequence[str], out: Path | None = None, *, state: str = "") -> dict[str, Any]:
    """Write the network of a run, as a stage left it, in each of the formats.

    Args:
        path: Folder of the run.
        formats: Of `lightloom.export.known_formats`.
        out: Folder to write to; None is `export` in that of the run.
        state: One of `STATES`; empty is the furthest on a chip that the run holds.

    Raises:
        RequestError: The run, the state or a format is unknown, or does not fit what the network is.
    """
    work = Work(RunFolder.open(path))
    if work.config.task != "classify" or "program" not in work.folder.done:
        raise RequestError(
            f"The run in `{path}` has programmed no network onto a chip, so there is none to export. Runs of "
            "`onchip/...` and `pcm/...` do."
        )
    held = [name for name, stage in STATES.items() if stage in work.folder.done and name != "electronic"]
    state = state or held[-1]
    if state not in held:
        raise RequestError(f"The run in `{path}` holds no state `{state}`. {nearest(state, held)}")
    written = export(work.network(state), out or path / "export", formats, work.chip_splits.test.images[:4])
    return {"run": str(path), "state": state, **written}
