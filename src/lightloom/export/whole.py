"""Folders and long files that are whole or not there, and names that stay inside their folder."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from lightloom.common.errors import RequestError, WorkError


@contextmanager
def whole_folder(path: Path, mark: str) -> Iterator[Path]:
    """A new folder to fill, which becomes `path` only when all is written.

    A kill at any moment leaves the old folder or the new one: what is not finished lies in a hidden folder beside it,
    and the next call for the same `path` clears that away.

    Args:
        path: The folder to make. One that holds `mark` is replaced as a whole; any other must be empty.
        mark: Name of a file that tells a folder of this kind.

    Raises:
        RequestError: Something else is there, or the folder above cannot be written to.
        WorkError: The disk is full or refuses.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100  # a link stays a link
    hidden, aside = (path.with_name(f".{path.name}.{os.getpid()}.{kind}") for kind in ("part", "old"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        settle(path)
        hidden.mkdir()
    except OSError as error:
        raise RequestError(f"Cannot write to the folder `{path.parent}`: {error.strerror}. Choose another.") from error
    try:
        if path.exists() and not (path / mark).is_file() and (not path.is_dir() or any(path.iterdir())):
            raise RequestError(f"`{path}` holds something else. Choose another folder, or remove what is there first.")
        yield hidden
        if path.exists():
            path.replace(aside)
        hidden.replace(path)
    except OSError as error:
        raise WorkError(f"Could not write `{path}`: {error.strerror or error}. What was there is untouched.") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if path.exists():
            shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def whole_stream(path: Path) -> Iterator[TextIO]:
    """A text file too long to hold in memory, which becomes `path` only when it is closed.

    Raises:
        WorkError: The disk is full or refuses; the old file, if any, is untouched.
    """
    hidden = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with hidden.open("w", encoding="utf-8", newline="") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        hidden.replace(path)
    except OSError as error:
        raise WorkError(f"Could not write `{path}`: {error.strerror or error}.") from error
    finally:
        hidden.unlink(missing_ok=True)


def inside(folder: Path, name: str) -> Path:
    """The file `name` of `folder`, wherever links lead, only if that is in the folder.

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
    """A file name for a layer: any characters that a path may not hold are replaced, the number keeps it apart."""
    return f"{number:03d}-{re.sub(r'[^A-Za-z0-9_.-]+', '-', layer)[:100] or 'root'}"


def settle(path: Path) -> None:
    """Clear away what a killed process left while it was making the folder `path`, and bring back what it had moved."""
    for kind in ("old", "part"):
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.{kind}"):
            process = left.name.split(".")[-2]
            if not process.isdigit() or _alive(int(process)):
                continue
            if kind == "old" and not path.exists():
                left.replace(path)  # killed between the two renames
            shutil.rmtree(left, ignore_errors=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
