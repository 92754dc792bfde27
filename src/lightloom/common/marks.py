"""Marks of the folders that Lightloom writes to: only what a mark lists is ever replaced or removed.

The mark is the file `.lightloom`, the first that a folder gets. Its first line says the kind of folder, each further
one names a file, and is there before the file is, or the number of a process that worked there. What else lies in the
folder belongs to somebody else.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

from lightloom.common.errors import RequestError

MARK = ".lightloom"
"""Name of the mark of a folder."""
WHOLE = "part"
"""Kind of a folder that is being filled under another name: all that is in it is ours."""

_FORMAT = 1
_DEEP = ("run", "training", "exploration", "export", "tables")  # their marks list the files of their subfolders too


class Mark(NamedTuple):
    """What the mark of a folder says."""

    kind: str
    """Kind of the folder, such as "run"; empty where a kill cut the mark short."""
    files: frozenset[str]
    """Names that were written, relative to the folder, with "/"."""
    processes: frozenset[int] = frozenset()
    """Numbers of the processes that worked there."""


def mark_of(folder: Path) -> Mark | None:
    """The mark of a folder; None where it has none.

    Raises:
        RequestError: It is of another format, or cannot be read.
    """
    path = folder / MARK
    try:
        state = path.stat()
        key = (state.st_ino, state.st_size, state.st_mtime_ns)
        entry = _known.get(path)
        if entry is None or entry[0] != key:
            entry = _known[path] = (key, _parse(path, path.read_bytes()) if path.is_file() else None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise RequestError(f"`{path}` cannot be read: {error.strerror}. Choose another folder.") from error
    return entry[1]


def claim(folder: Path, kind: str, *, fresh: bool = False) -> Path:
    """Make a folder ours, before anything is written to it.

    Args:
        folder: Made where it is not there. It may hold files of others, which stay as they are.
        kind: What is written there.
        fresh: Refuse a folder in which anything is.

    Raises:
        RequestError: It is a file, cannot be written to, holds something of another kind, or is not empty.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        mark = mark_of(folder)
        if fresh and (entry := next(folder.iterdir(), None)) is not None:
            raise RequestError(
                f"`{folder}` is not empty (`{entry.name}` lies in it), and holds nothing that `--resume` could go on "
                "with. Choose another folder with `--out`."
            )
        if mark is None:
            _begin(folder, kind)
        elif not mark.kind:
            _begin(folder, kind, "wb")
        elif mark.kind not in (kind, WHOLE):
            raise RequestError(
                f"`{folder}` holds another kind of result ({mark.kind}), whose files are not replaced. "
                "Choose another folder with `--out`."
            )
    except OSError as error:
        raise RequestError(
            f"Cannot write to the folder `{folder}`: {error.strerror}. Choose another with `--out`."
        ) from error
    return folder


def text_of(kind: str, names: Iterable[str]) -> bytes:
    """What a mark of this kind that lists these files holds.

    Args:
        kind: Kind of the folder.
        names: Its files, relative to it.
    """
    return "".join(f"{line}\n" for line in (_header(kind), *map(json.dumps, sorted(names)))).encode()


def begin(folder: Path, kind: str) -> None:
    """Write the mark of a new folder. Raises `OSError`, also where there is one.

    Args:
        folder: The folder.
        kind: What its mark is to say.
    """
    _begin(folder, kind)


def admit(path: Path) -> None:
    """List a file that is about to be written in the mark of its folder. Without a mark there is nothing to do.

    Raises:
        RequestError: There is a file of that name which is not listed, or a link leads out of the folder.
        OSError: The disk refuses.
    """
    home = _home(path)
    if home is None:
        return
    folder, mark, name = home
    if not _inside(folder, path):
        raise RequestError(
            f"`{path}` leads out of `{folder}` by a link, so nothing is written there. Put a folder in its place."
        )
    if name in mark.files or mark.kind == WHOLE:
        return
    if os.path.lexists(path):
        raise RequestError(
            f"`{path}` was not written by Lightloom, so it is not replaced. Move it elsewhere, or choose another "
            "folder with `--out`."
        )
    _append(folder, name)


def sign(folder: Path) -> None:
    """Note in the mark of a folder that this process works there. Raises `OSError` where the disk refuses."""
    mark = mark_of(folder)
    if mark is not None and os.getpid() not in mark.processes:
        _append(folder, os.getpid())


def is_ours(path: Path) -> bool:
    """Whether the mark of its folder lists a file, and no link leads out of that folder."""
    home = _home(path)
    listed = home is not None and (home.mark.kind == WHOLE or home.name in home.mark.files)
    return home is not None and listed and _inside(home.folder, path)


# marks on the disk

_known: dict[Path, tuple[tuple[int, int, int], Mark | None]] = {}
"""Marks that were read, with what tells whether the file is the same still."""


def _begin(folder: Path, kind: str, mode: Literal["xb", "wb"] = "xb") -> None:
    """The first file of a folder. One that a kill cut short lists nothing, so nothing else is ours by it."""
    with (folder / MARK).open(mode) as stream:
        stream.write(text_of(kind, ()))
        stream.flush()
        os.fsync(stream.fileno())
    sync_folder(folder)


def _append(folder: Path, value: str | int) -> None:
    path = folder / MARK
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        cut = stream.read(1) != b"\n"  # a kill cut the last line short: it must not come to count
        stream.write((b"~\n" if cut else b"") + f"{json.dumps(value)}\n".encode())
        stream.flush()
        os.fsync(stream.fileno())


def _header(kind: str) -> str:
    return json.dumps({"lightloom": kind, "format": _FORMAT})


def _parse(path: Path, content: bytes) -> Mark | None:
    """None where this is another file that happens to have the name."""
    lines = content.decode(errors="replace").split("\n")
    first = _value(lines[0]) if len(lines) > 1 else None
    if not isinstance(first, dict) or "lightloom" not in first:
        begun = '{"lightloom": "'
        cut = len(lines) == 1 and (lines[0].startswith(begun) or begun.startswith(lines[0]))
        return Mark("", frozenset()) if cut else None
    if first.get("format") != _FORMAT:
        raise RequestError(f"`{path}` is of another format ({first.get('format')}). Use the Lightloom that wrote it.")
    values = [_value(line) for line in lines[1:-1]]  # what follows the last newline was cut short
    names = frozenset(value for value in values if isinstance(value, str))
    return Mark(str(first["lightloom"]), names, frozenset(value for value in values if isinstance(value, int)))


def _value(line: str) -> object:
    """None where a kill cut the line short, before the file that it names was begun."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


class _Home(NamedTuple):
    folder: Path
    mark: Mark
    name: str


def _home(path: Path) -> _Home | None:
    """The marked folder that a file belongs to, its mark, and the file's name there."""
    path = Path(os.path.abspath(path))  # noqa: PTH100  # links are looked at apart
    for depth, folder in enumerate(path.parents[:3]):
        mark = mark_of(folder)
        if mark is not None and (depth == 0 or mark.kind in _DEEP):
            return _Home(folder, mark, path.relative_to(folder).as_posix())
    return None


def _inside(folder: Path, path: Path) -> bool:
    return path.parent.resolve().is_relative_to(folder.resolve())


def sync_folder(folder: Path) -> None:
    """Make a new name in a folder durable, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
