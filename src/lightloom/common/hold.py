"""One process at a time in a folder."""

from __future__ import annotations

import os
import platform
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lightloom.common.errors import RequestError, WorkError
from lightloom.common.files import read_json, write_json
from lightloom.common.folders import is_alive
from lightloom.common.marks import MARK, admit, sign

LOCK, HOLDER = f"{MARK}.lock", f"{MARK}.holder"
"""Files of a folder: the lock, which ends with its process, and who has it."""

_held: dict[Path, int] = {}  # by folder, the thread


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Keep other processes out of a marked folder; within the thread that holds it already there is nothing to do.

    Raises:
        RequestError: Another process, or thread, works there; it is named.
        WorkError: The disk refuses.
    """
    place = folder.resolve()
    if _held.get(place) == threading.get_ident():
        yield
        return
    try:
        admit(folder / LOCK)
        lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
        lock.acquire()
    except Timeout:
        raise RequestError(
            f"{_describe_holder(folder)} works in `{folder}`. Wait for it to end, or choose another folder with "
            "`--out`."
        ) from None
    except (OSError, NotImplementedError) as error:
        raise WorkError(f"`{folder}` cannot be locked: {error}. Choose a folder on another disk.") from error
    try:
        _held[place] = threading.get_ident()
        sign(folder)
        words = " ".join(sys.argv)
        since = datetime.now().isoformat(timespec="seconds")
        write_json(
            folder / HOLDER, {"process": os.getpid(), "machine": platform.node(), "command": words, "since": since}
        )
        yield
    finally:
        _held.pop(place, None)
        lock.release()


def holder(folder: Path) -> int | None:
    """The number of the process that works in a folder now; None where none does.

    Raises:
        RequestError: The file that names it is damaged.
    """
    if not (folder / LOCK).is_file() or not (folder / HOLDER).is_file():
        return None
    process = _read_holder(folder)
    if process["machine"] == platform.node() and not is_alive(process["process"]):
        return None
    lock = FileLock(folder / LOCK, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except (Timeout, OSError, NotImplementedError):
        number: int = process["process"]
        return number
    lock.release()
    return None


def _describe_holder(folder: Path) -> str:
    """Who holds a folder; it may have got hold of it this very moment."""
    if not (folder / HOLDER).is_file():
        return "Another process"
    process = _read_holder(folder)
    return f"Process {process['process']} on {process['machine']} (`{process['command']}`, since {process['since']})"


def _read_holder(folder: Path) -> dict[str, Any]:
    content = read_json(folder / HOLDER)
    if not isinstance(content, dict) or not isinstance(content.get("process"), int):
        raise RequestError(f"`{folder / HOLDER}` names no process; remove it if none works in `{folder}`.")
    return {"machine": "an unknown machine", "command": "unknown", "since": "unknown"} | content
