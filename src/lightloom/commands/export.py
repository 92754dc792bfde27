"""A state of a run as files that other programs read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lightloom.common.errors import RequestError, nearest
from lightloom.export import export
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run_folder import RunFolder

_SAMPLES = 4  # test samples that an export is checked with


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
    context = RunContext(RunFolder.open(path))
    states = [name for name in context.states if name != "electronic"]
    if not states:
        raise RequestError(
            f"The run in `{path}` has programmed no network onto a chip, so there is none to export. Runs with the "
            "stage `program` do, such as of `onchip/...` and `pcm/...`."
        )
    state = state or states[-1]
    if state not in states:
        raise RequestError(f"The run in `{path}` holds no state `{state}`. {nearest(state, states)}")
    test = context.chip_data.test
    samples = test.inputs[torch.arange(min(_SAMPLES, len(test)))]
    written = export(context.network(state), out or path / "export", formats, samples)
    return {"run": str(path), "state": state, **written}
