"""Files that are whole or not there: temporary name, fsync, rename.

A kill at any moment leaves either the old file or the new one, never half of one.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError, WorkError
from lightloom.common.folders import clear_parts, replacing
from lightloom.common.marks import admit

__all__ = [
    "append_json_line",
    "clear_parts",
    "make_folder",
    "read_json",
    "read_json_lines",
    "reserve",
    "write_bytes",
    "write_json",
    "write_text",
]


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` whole.

    Args:
        path: The file to make or replace; its folder must exist.
        content: Every byte of the file.

    Raises:
        RequestError: The folder is marked as ours (see `marks`), and a file of that name in it is somebody else's.
        WorkError: The disk is full or refuses; the old file, if any, is untouched.
    """
    try:
        with replacing(path) as stream:
            stream.write(content)
    except OSError as error:
        raise WorkError(_explain(path, error)) from error


def reserve(*paths: Path) -> None:
    """Say before a long work begins which files it will write. Raises as `write_bytes`, where that would."""
    for path in paths:
        try:
            admit(path)
        except OSError as error:
            raise WorkError(_explain(path, error)) from error


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` whole, as UTF-8. Raises as `write_bytes`.

    Args:
        path: The file to make or replace.
        content: All of its text.
    """
    write_bytes(path, content.encode())


def write_json(path: Path, content: object) -> None:
    """Write `content` to `path` whole, as indented JSON without NaN. Raises as `write_bytes`.

    Args:
        path: The file to make or replace.
        content: Plain values, as JSON has them.
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        RequestError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RequestError(f"`{path}` is missing. Is this a run folder of Lightloom?") from None
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and lists too deep
        raise RequestError(f"`{path}` is not JSON: {error}.") from None


def append_json_line(path: Path, record: Mapping[str, object]) -> None:
    """Append one JSON object as a line and push it to the disk. Raises as `write_bytes`.

    Args:
        path: The file; it is made where it is absent.
        record: Plain values by key.
    """
    try:
        admit(path)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(record, allow_nan=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise WorkError(_explain(path, error)) from error


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The whole lines of a JSON-lines file; a last line cut short by a kill is passed over."""
    if not path.exists():
        return
    lines = path.read_text(encoding="utf-8").split("\n")
    for line in lines[:-1]:  # a whole line ends in a newline: what follows the last one was cut
        yield json.loads(line)


def make_folder(path: Path) -> Path:
    """Make `path` and its parents, and check that files can be written there.

    Raises:
        RequestError: It cannot be made, or not be written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise RequestError(
            f"Cannot write to the folder `{path}`: {error.strerror}. Choose another with `--out`."
        ) from error
    return path


def _explain(path: Path, error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        mend = "Free some space and go on with `--resume`"
    else:
        mend = "Mend that and go on with `--resume`"
    return f"Could not write `{path}`: {reason}. What was written before is whole. {mend}."
