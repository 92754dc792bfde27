"""Folders and long files that are whole or not there, and names that stay inside their folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import TextIO

from lightloom.common.errors import RequestError, WorkError
from lightloom.common.folders import check_whole, hidden_folder, put_folder, replacing, settle


@contextmanager
def whole_folder(path: Path, kind: str) -> Iterator[Path]:
    """A new folder to fill, which becomes `path` only when all is written.

    A kill at any moment leaves the old folder or the new one: what is not finished lies in a hidden folder beside it,
    and the next call for the same `path` clears that away.

    Args:
        path: The folder to make. One of this kind that was made here before is replaced as a whole, unless a file of
            somebody else lies in it; any other must be empty.
        kind: What its mark says.

    Raises:
        RequestError: Something else is there, or the folder above cannot be written to.
        WorkError: The disk is full or refuses.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  # a link stays a link
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        settle(path)
        check_whole(path, kind)
    except OSError as error:
        raise RequestError(f"Cannot write to the folder `{path.parent}`: {error.strerror}. Choose another.") from error
    try:
        with hidden_folder(path) as hidden:
            yield hidden
            put_folder(hidden, path, kind)
    except OSError as error:
        raise WorkError(f"Could not write `{path}`: {error.strerror or error}. What was there is untouched.") from error


@contextmanager
def whole_stream(path: Path) -> Iterator[TextIO]:
    """A text file too long to hold in memory, which becomes `path` only when it is closed.

    Raises:
        RequestError: A file of somebody else is there.
        WorkError: The disk is full or refuses; the old file, if any, is untouched.
    """
    try:
        with replacing(path) as stream:
            text = TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
            yield text
            text.detach()
    except OSError as error:
        raise WorkError(f"Could not write `{path}`: {error.strerror or error}.") from error


def inside(folder: Path, name: str) -> Path:
    """The file `name` of `folder`, wherever links lead, only if that is in the folder.

    Args:
        folder: The folder.
        name: Name of the file in it.

    Raises:
        RequestError: It is missing, or lies elsewhere.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise RequestError(f"`{path}` leads out of its folder. Put the file itself there, not a link.")
    if not path.is_file():
        raise RequestError(f"`{path}` is missing. Copy the folder once more, with all of its files.")
    return path


def file_stem(number: int, layer: str) -> str:
    """A file name for a layer: any characters that a path may not hold are replaced, the number keeps it apart.

    Args:
        number: Number of the layer.
        layer: Name of the layer.
    """
    return f"{number:03d}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', layer)[:100] or 'root'}"
