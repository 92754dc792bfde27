"""What conversion would do with the network of a recipe or a run, without running anything."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightloom.common.marks import claim
from lightloom.config import override
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run_folder import RunFolder
from lightloom.recipes import resolve
from lightloom.schemas import LayerRow, write_plain


def preview_conversion(source: str, changes: Sequence[str] = (), out: Path | None = None) -> dict[str, Any]:
    """Convert the network of a recipe (with first weights) or of a run (with trained ones).

    Args:
        source: Name of a recipe, or the folder of a run.
        changes: `key=value` changes to its config.
        out: Write `layers.json` to this folder.

    Returns:
        `chip` and `layers`, one row per layer: what was converted, what was not and why.
    """
    path = Path(source)
    if path.is_dir():
        context = RunContext(RunFolder.open(path))
        context.config = override(context.config, changes)
        model = context.trained()
    else:
        context = RunContext(RunFolder(path, resolve(source, changes)))
        model = context.new_network()
        context.adapt(model)
    layers = context.convert(model).layers
    result = {"chip": context.config.chip.name, "layers": [layer.as_dict() for layer in layers]}
    if out is not None:
        write_plain(claim(out, "output") / "layers.json", list[LayerRow], result["layers"])
    return result
