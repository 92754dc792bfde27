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

from filelock import FileLock, Timeout

from lightloom.common.errors import RequestError, WorkError
from lightloom.common.files import read_json, write_json
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
            f"{_holder(folder)} works in `{folder}`. Wait for it to end, or choose another folder with `--out`."
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


def _holder(folder: Path) -> str:
    """Who holds a folder; it may have got hold of it this very moment."""
    if not (folder / HOLDER).is_file():
        return "Another process"
    told = read_json(folder / HOLDER)
    return f"Process {told['process']} on {told['machine']} (`{told['command']}`, since {told['since']})"
