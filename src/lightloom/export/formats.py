"""A network in all the forms that are asked for, in one folder."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import reserve
from lightloom.common.marks import MARK, claim
from lightloom.export.loading import check
from lightloom.export.onnx_file import to_onnx
from lightloom.export.sample_io import Sample
from lightloom.export.saving import save
from lightloom.export.settings import write_settings
from lightloom.export.technology import Block, Selection, formats_of, technology_formats

_ANY_TECHNOLOGY = {"folder": "model", "onnx": "model.onnx", "settings": "settings"}


def known_formats() -> dict[str, str]:
    """What can be written, and the file or folder that it becomes: formats of every network, then of technologies."""
    return {**_ANY_TECHNOLOGY, **{name: form.file for name, form in technology_formats().items()}}


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
        formats: Names of formats, see `lightloom.export.known_formats`.
        sample: Inputs to check with; the format "onnx" needs it.
        layers: Layers of formats that name each device, "netlist" and "phases"; None is all.
        blocks: Blocks of those layers: how many, or which; None is all.

    Returns:
        {format: {"path", "bytes", "files", and what was counted or checked}}.

    Raises:
        RequestError: A format is unknown, or does not fit the network, or something that was not written here is in
            its place.
        WorkError: A check failed, or the disk is full.
    """
    files = _files(model, formats)
    if "onnx" in formats and sample is None:
        raise RequestError("The format `onnx` takes a sample: it is traced with it, and checked.")
    claim(folder, "export")
    reserve(*(folder / file for file in files.values() if "." in file))
    selection = Selection(layers, blocks)
    return {name: _written(name, model, folder / file, sample, selection) for name, file in files.items()}


def _files(model: nn.Module, names: Sequence[str]) -> dict[str, str]:
    """What each format becomes; nothing is written where one of them does not fit."""
    files, of_technologies = known_formats(), technology_formats()
    for name in names:
        if name not in files:
            raise RequestError(f"There is no format `{name}`. {nearest(name, files)}")
    if not names:
        raise RequestError(f"Name a format: {', '.join(f'`{name}`' for name in files)}.")
    for name in names:
        if name not in _ANY_TECHNOLOGY and name not in formats_of(model):
            hardware = of_technologies[name].hardware
            raise RequestError(
                f"The format `{name}` is for layers on {hardware}, and this network has none; leave it out."
            )
    return {name: files[name] for name in names}


def _written(name: str, model: nn.Module, path: Path, sample: Sample | None, selection: Selection) -> dict[str, Any]:
    if name == "folder":
        facts = _folder(model, path, sample)
    elif name == "onnx":
        assert sample is not None  # `export` has looked
        facts = to_onnx(model, sample, path)
    elif name == "settings":
        facts = {"layers": len(write_settings(model, path)["layers"])}
    else:
        facts = technology_formats()[name].write(model, path, selection)
    return {**facts, **_size(path)}


def _folder(model: nn.Module, path: Path, sample: Sample | None) -> dict[str, Any]:
    saved = save(model, path, sample=sample)
    difference = {} if sample is None else {"difference": check(path, model)}
    return {"layers": len(saved["layers"]), **difference}


def _size(path: Path) -> dict[str, Any]:
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file() and file.name != MARK]
    return {"path": str(path), "files": len(files), "bytes": sum(file.stat().st_size for file in files)}
