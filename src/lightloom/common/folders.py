"""Every rename and every deletion: of files that the mark of their folder lists, see `marks`, and of nothing else."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import BinaryIO

from lightloom.common.errors import RequestError, WorkError
from lightloom.common.marks import MARK, WHOLE, admit, begin, is_ours, mark_of, sync_folder, text_of

_PART = re.compile(r"\.(?P<name>.+)\.(?P<process>\d+)(?:-\d+)?\.part")


def adopt(folder: Path, kind: str, names: Iterable[str]) -> None:
    """Mark a folder that an earlier version wrote, and list the files that are known to be its own.

    Raises `WorkError` where the disk refuses.

    Args:
        folder: The folder.
        kind: What its mark is to say.
        names: Files in it that are ours, relative to it.
    """
    try:
        with replacing(folder / MARK) as stream:
            stream.write(text_of(kind, names))
    except OSError as error:
        raise WorkError(f"Could not write `{folder / MARK}`: {error.strerror or error}.") from error


def remove(path: Path) -> None:
    """Remove a file that the mark of its folder lists; a file that is not there stays away.

    Raises:
        RequestError: The file is somebody else's, is a folder, or lies where a link leads out of the folder.
    """
    if not os.path.lexists(path):
        return
    if not is_ours(path) or (path.is_dir() and not path.is_symlink()):
        raise RequestError(f"`{path}` was not written by Lightloom, so it is not removed. Move it elsewhere.")
    path.unlink()


def clear_parts(folder: Path) -> None:
    """Remove the temporary files that a kill left in a marked folder, of listed files by listed processes."""
    mark = mark_of(folder)
    if mark is None:
        return
    for place in sorted({(folder / name).parent for name in mark.files}):
        for part in place.glob(".*.part") if place.is_dir() else ():
            shape = _PART.fullmatch(part.name)
            if shape is None or int(shape["process"]) not in mark.processes or part.is_symlink():
                continue
            if is_ours(part.with_name(shape["name"])) and part.is_file():
                part.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A temporary file beside `path` to write to, which takes its place when all of it is on the disk.

    Raises:
        RequestError: As `admit`.
        OSError: The disk refuses; what was there is untouched.
    """
    if path.name != MARK:
        admit(path)
    temporary, stream = _open_part(path)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):  # where the folder itself is gone or closed, so is the temporary file
            temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _open_part(path: Path) -> tuple[Path, BinaryIO]:
    for temporary in _part_names(path):
        with suppress(FileExistsError):
            return temporary, temporary.open("xb")
    raise AssertionError("there are always more names")


def _make_part(path: Path) -> Path:
    for hidden in _part_names(path):
        with suppress(FileExistsError):
            hidden.mkdir()
            return hidden
    raise AssertionError("there are always more names")


def _part_names(path: Path) -> Iterator[Path]:
    """Names beside `path`: a process of the same number may have been killed here, and files of others stay."""
    for number in count():
        yield path.with_name(f".{path.name}.{os.getpid()}{f'-{number}' if number else ''}.part")


# whole folders


def absent_folders(path: Path) -> list[Path]:
    """Those of a folder and the ones above it that are not there yet, the innermost first."""
    return [folder for folder in (path, *path.parents) if not os.path.lexists(folder)]


def discard(path: Path, parents: Iterable[Path] = ()) -> None:
    """Remove a folder that is ours as a whole, such as one made for a request that was then refused.

    Args:
        path: The folder; it stays where anything lies in it that its mark does not list.
        parents: Folders around it, the innermost first; they go where they are empty.
    """
    _remove_folder(path)
    for folder in parents:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


@contextmanager
def hidden_folder(path: Path) -> Iterator[Path]:
    """A new folder beside `path` to fill; what is not moved to its place by `put_folder` is removed in the end.

    Raises `OSError` where the disk refuses.
    """
    hidden = _make_part(path)
    try:
        begin(hidden, WHOLE)
        yield hidden
    finally:
        if hidden.is_dir():
            shutil.rmtree(hidden, ignore_errors=True)


def put_folder(hidden: Path, path: Path, kind: str, *, replace: bool = True) -> None:
    """Move a filled folder of `hidden_folder` to its place, where nothing is or a folder that is ours as a whole.

    Args:
        hidden: The folder.
        path: Its place.
        kind: What its mark says.
        replace: Take the place of a folder of this kind; else only that of none.

    Raises:
        RequestError: Something else is there.
        OSError: The disk refuses, or nothing is to be replaced; what was there is untouched.
    """
    check_whole(path, kind)
    names = [file.relative_to(hidden).as_posix() for file in _files(hidden) if file.name != MARK]
    (hidden / MARK).write_bytes(text_of(kind, names))
    aside = path.with_name(hidden.name.removesuffix(".part") + ".old")
    if replace and os.path.lexists(path):
        path.replace(aside)
    try:
        hidden.replace(path)
    except OSError:
        if aside.is_dir():
            aside.replace(path)
        raise
    _remove_folder(aside)


def check_whole(path: Path, kind: str) -> None:
    """Refuse a place for a whole folder where anything lies that is not ours. Raises `RequestError`.

    Args:
        path: The place.
        kind: What the mark of a folder says that may be replaced.
    """
    if not os.path.lexists(path) or (path.is_dir() and not path.is_symlink() and not any(path.iterdir())):
        return
    foreign = _foreign(path, kind)
    if foreign:
        raise RequestError(
            f"`{path}` holds something else (`{foreign}`), which is not replaced. Choose another folder, or move away "
            "what is there."
        )


def settle(path: Path) -> None:
    """Clear away what a killed process left while it made the folder `path`, and bring back what it had moved.

    A process that still lives keeps what it makes; a folder that is not ours as a whole stays.
    """
    leftovers = sorted(path.parent.glob(f".{_escape(path.name)}.*")) if path.parent.is_dir() else []
    for folder in leftovers:
        shape = re.fullmatch(r"\.(?P<pid>\d+)(?:-\d+)?\.(?P<kind>part|old)", folder.name[len(path.name) + 1 :])
        if shape is None or is_alive(int(shape["pid"])):
            continue
        if shape["kind"] == "old" and not os.path.lexists(path) and mark_of(folder) is not None:
            folder.replace(path)  # killed between the two renames
        else:
            _remove_folder(folder)


def copy_folder(source: Path, path: Path, leave_out: Callable[[str], bool]) -> None:
    """Copy a folder with all that is in it to a place where nothing is; it is whole or not there.

    Args:
        source: The folder.
        path: Where nothing is yet; the folder above is there.
        leave_out: Says of a file name whether it stays behind.

    Raises `OSError` where the disk refuses.
    """
    with hidden_folder(path) as hidden:
        shutil.copytree(
            source,
            hidden / "copy",
            ignore=lambda _, names: [name for name in names if leave_out(name)],
            ignore_dangling_symlinks=True,
        )
        (hidden / "copy").rename(path)


def _remove_folder(path: Path) -> None:
    """Remove a folder that is ours as a whole, and leave any other."""
    if not path.is_dir() or path.is_symlink():
        return
    if not _foreign(path):
        shutil.rmtree(path, ignore_errors=True)
    elif not any(path.iterdir()):  # killed before it got its mark
        path.rmdir()


def _foreign(folder: Path, kind: str = "") -> str:
    """The name of something in a folder that is not ours; "" where all is."""
    mark = mark_of(folder) if folder.is_dir() and not folder.is_symlink() else None
    if mark is None or (kind and mark.kind != kind):
        return folder.name
    if mark.kind == WHOLE:
        return ""
    names = (file.relative_to(folder).as_posix() for file in _files(folder))
    return next((name for name in sorted(names) if name != MARK and name not in mark.files), "")


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def _escape(name: str) -> str:
    return re.sub(r"([*?[])", r"[\1]", name)


def is_alive(process: int) -> bool:
    """Whether a process of this number lives on this machine."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
