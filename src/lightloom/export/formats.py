"""A network in all the forms that are asked for, in one folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import reserve
from lightloom.common.marks import MARK, claim
from lightloom.export.loading import check
from lightloom.export.mesh.netlist_files import write_netlists
from lightloom.export.mesh.phase_table import phase_table
from lightloom.export.mesh.settings import Block
from lightloom.export.onnx_file import to_onnx
from lightloom.export.pcm.levels import pcm_levels
from lightloom.export.sample_io import Sample
from lightloom.export.saving import save
from lightloom.nn import MeshCore, PCMCore, TensorCore, cores

FORMATS = {
    "folder": "model",
    "onnx": "model.onnx",
    "netlist": "netlists",
    "phases": "phases.csv",
    "pcm": "levels",
}
"""What can be written, and the file or folder that it becomes."""


@checked
def export(
    model: nn.Module,
    folder: Path,
    formats: Sequence[str],
    sample: Sample | None = None,
    *,
    layers: str | Iterable[str] | None = None,
    blocks: int | Sequence[Block] | None = None,
) -> dict[str, Any]:
    """Write a network in several formats.

    Args:
        model: A converted model.
        folder: Where to; what was written there before in the same format is replaced.
        formats: Of `FORMATS`.
        sample: Inputs to check with; the format "onnx" needs it.
        layers: Layers of "netlist" and "phases"; None is all on meshes.
        blocks: Blocks of those layers: how many, or which; None is all.

    Returns:
        {format: {"path", "bytes", "files", and what was counted or checked}}.

    Raises:
        RequestError: A format is unknown, or does not fit the network, or something that was not written here is in
            its place.
        WorkError: A check failed, or the disk is full.
    """
    for name in formats:
        if name not in FORMATS:
            raise RequestError(f"There is no format `{name}`. {nearest(name, FORMATS)}")
    if not formats:
        raise RequestError(f"Name a format: {', '.join(f'`{name}`' for name in FORMATS)}.")
    if "onnx" in formats and sample is None:
        raise RequestError("The format `onnx` takes a sample: it is traced with it, and checked.")
    _check_layers(model, formats)
    claim(folder, "export")
    reserve(*(folder / FORMATS[name] for name in formats if "." in FORMATS[name]))
    limits: dict[str, Any] = {"layers": layers, "blocks": blocks}
    writers: dict[str, Callable[[Path], dict[str, Any]]] = {
        "folder": lambda path: _folder(model, path, sample),
        "onnx": lambda path: to_onnx(model, sample, path),  # type: ignore[arg-type]  # checked above
        "netlist": lambda path: {"blocks": _count(write_netlists(model, path, **limits))},
        "phases": lambda path: phase_table(model, path, **limits),
        "pcm": lambda path: {"layers": len(pcm_levels(model, path)["layers"])},
    }
    written = {}
    for name in dict.fromkeys(formats):
        path = folder / FORMATS[name]
        written[name] = {**writers[name](path), **_size(path)}
    return written


def _check_layers(model: nn.Module, formats: Sequence[str]) -> None:
    """Nothing is written where one format does not fit."""
    kinds: dict[str, type[TensorCore]] = {"netlist": MeshCore, "phases": MeshCore, "pcm": PCMCore}
    for name in formats:
        if name in kinds and not cores(model, kinds[name]):
            what = "a mesh" if kinds[name] is MeshCore else "phase-change crossbars"
            raise RequestError(f"The format `{name}` is for layers on {what}, and this network has none; leave it out.")


def _folder(model: nn.Module, path: Path, sample: Sample | None) -> dict[str, Any]:
    saved = save(model, path, sample=sample)
    checked = {} if sample is None else {"difference": check(path, model)}
    return {"layers": len(saved["layers"]), **checked}


def _count(index: dict[str, Any]) -> int:
    return sum(len(layer["files"]) for layer in index["layers"].values())


def _size(path: Path) -> dict[str, Any]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and file.name != MARK]
    return {"path": str(path), "files": len(files), "bytes": sum(file.stat().st_size for file in files)}
