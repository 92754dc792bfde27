"""Where the files of a set are: in the user's folder, or in the cache after a checked download."""

from __future__ import annotations

import os
from collections.abc import Collection
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import NamedTuple, cast

from lightloom.common.errors import RequestError, WorkError
from lightloom.data.dataset_info import IDX_NAMES, DatasetInfo, Mirror
from lightloom.data.idx_places import idx_files, idx_folders
from lightloom.physics.compiled.caches import user_cache

_TIMEOUT_S = 30
_CHUNK = 2**18


class IdxFiles(NamedTuple):
    """The four files of a set."""

    train_images: Path
    train_labels: Path
    test_images: Path
    test_labels: Path


def find_files(name: str, mirror: Mirror, root: Path | None = None) -> IdxFiles:
    """The four files of the set `name`.

    They are looked for in the folder `name` of `root`, or else of `LIGHTLOOM_DATA`; nothing is ever written
    there. Where neither is given they are downloaded once, checked, into `data/<name>` of `LIGHTLOOM_CACHE`
    (`~/.cache/lightloom`).

    Args:
        name: The set's folder.
        mirror: Where to download it from.
        root: The folder that holds the sets' folders.

    Raises:
        RequestError: A file is missing from the given folder.
        WorkError: A download failed.
    """
    folder = given_folder(name, root)
    return download(mirror, cache_folder() / "data" / name) if folder is None else local_files(folder)


def given_folder(name: str, root: Path | None = None) -> Path | None:
    """The folder `name` of `root`, or else of `LIGHTLOOM_DATA`; None where there is neither.

    Args:
        name: Name of the set's folder.
        root: Folder that holds the folders of sets; None takes `LIGHTLOOM_DATA`.
    """
    root_folder = root if root is not None else os.environ.get("LIGHTLOOM_DATA")
    try:
        return Path(root_folder).expanduser() / name if root_folder else None
    except RuntimeError:
        raise RequestError(
            f"The folder of data is `{root_folder}`, and this user has no home; give a full path."
        ) from None


def cache_folder() -> Path:
    """The folder for downloads and decoded images: `LIGHTLOOM_CACHE`, else `~/.cache/lightloom`."""
    own = os.environ.get("LIGHTLOOM_CACHE")
    try:
        return Path(own).expanduser() if own else user_cache() / "lightloom"
    except RuntimeError:
        raise RequestError(f"`LIGHTLOOM_CACHE` is `{own}`, and this user has no home; give a full path.") from None


def find_file(info: DatasetInfo, name: str, root: Path | None = None) -> Path:
    """One file of a set: in the user's folder, or in the cache after a checked download.

    Args:
        info: The set.
        name: Name of the file.
        root: Folder that holds the folders of sets; None takes `LIGHTLOOM_DATA`, or else the cache.

    Raises:
        RequestError: It is missing from the given folder, or there is neither a folder nor a source to load it from.
        WorkError: A download failed.
    """
    folder = given_folder(info.name, root)
    if folder is None and info.mirror is not None:
        return fetch(f"{info.mirror.url}{name}", info.mirror.md5[name], cache_folder() / "data" / info.name)
    path = required_folder(info, root) / name
    if not path.is_file():
        raise RequestError(f"Missing: `{path}`. {contents(path.parent)} {put_there(info)}")
    return path


def required_folder(info: DatasetInfo, root: Path | None = None) -> Path:
    """The user's folder of a set that cannot be downloaded.

    Args:
        info: The set.
        root: Folder that holds the folders of sets; None takes `LIGHTLOOM_DATA`.

    Raises:
        RequestError: No folder is named, or it is not there.
    """
    folder = given_folder(info.name, root)
    if folder is None:
        raise RequestError(
            f"{info.title} cannot be downloaded here: put its files into a folder `{info.name}/`, "
            "and name the folder above it by `LIGHTLOOM_DATA` or `--data`."
        )
    if not folder.is_dir():
        raise RequestError(f"Missing: the folder `{folder}`. {contents(folder.parent)} {put_there(info)}")
    return folder


def contents(folder: Path, besides: Collection[Path] = (), most: int = 8) -> str:
    """A sentence that says what lies in a folder, for messages about what was looked for in it.

    Args:
        folder: Where to look.
        besides: Files that are not told; "" where there are no others.
        most: Names that are told.
    """
    if not folder.is_dir():
        return f"There is no folder `{folder}`."
    try:
        paths = [path for path in folder.iterdir() if path not in besides]
    except OSError as error:
        return f"The folder `{folder}` cannot be looked into: {error.strerror}."
    names = sorted(f"{path.name}/" if path.is_dir() else path.name for path in paths)
    if not names:
        return "" if besides else f"`{folder}` is empty."
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"`{folder}` holds {', '.join(f'`{name}`' for name in names[:most])}{more}."


def put_there(info: DatasetInfo) -> str:
    """How to mend a missing file, for messages."""
    return _put_there(info.name, served=info.mirror is not None)


def _put_there(folder: str, served: bool) -> str:
    download = ", or leave both away to download" if served else ""
    return (
        "Put there what is missing, or name the folder that holds "
        f"`{folder}/` by `LIGHTLOOM_DATA` or `--data`{download}."
    )


def local_files(folder: Path, names: tuple[str, str, str, str] = IDX_NAMES, *, served: bool = True) -> IdxFiles:
    """Four IDX files of a folder, each with or without `.gz`.

    They are taken from one folder: this, or another of the same set beside it, as `idx_places.idx_folders` says.

    Args:
        folder: Where they are.
        names: Without `.gz`, in the order of `IdxFiles`.
        served: Whether they can be downloaded instead.

    Raises:
        RequestError: Some are missing; they are named.
    """
    places = idx_folders(folder)
    if not places and not served:
        raise RequestError(
            f"Missing: the folder `{folder}`. {contents(folder.parent)} {_put_there(folder.name, served)}"
        )
    candidates = [idx_files(place, names) for place in places] or [[None] * len(names)]
    best = max(range(len(candidates)), key=lambda place: (sum(map(bool, candidates[place])), -place))
    complete = [path for path in candidates[best] if path is not None]
    if len(complete) < len(names):
        home = places[best] if complete else folder
        missing = [f"`{home / name}.gz`" for name, path in zip(names, candidates[best], strict=True) if path is None]
        looked = [f"`{place}`" for place in places if place != home]
        sentences = (
            f"Missing: {', '.join(missing)} (or the same without `.gz`).",
            f"Looked for in {', '.join(looked)} too." if looked else "",
            contents(home if home.is_dir() else home.parent, complete),
            _put_there(folder.name, served),
        )
        raise RequestError(" ".join(filter(None, sentences)))
    return IdxFiles(*complete)


def download(mirror: Mirror, folder: Path) -> IdxFiles:
    """The four files in `folder`, fetched from `mirror` where they are not there with the right checksum.

    Args:
        mirror: Where they are served, with their checksums.
        folder: Where they go.

    Raises:
        WorkError: The mirror cannot be reached, serves other bytes, or the folder cannot be written to.
    """
    return IdxFiles(*(fetch(f"{mirror.url}{name}.gz", mirror.md5[name], folder) for name in IDX_NAMES))


def fetch(url: str, md5: str, folder: Path) -> Path:
    """The file at `url` in `folder`, loaded where it is not there with this MD5.

    Args:
        url: Where the file is served.
        md5: Its MD5 in hexadecimal.
        folder: Where it goes.

    Raises:
        WorkError: As of `download`.
    """
    import pooch

    try:
        path = pooch.retrieve(
            url, known_hash=f"md5:{md5}", fname=url.rsplit("/", 1)[1], path=folder, downloader=_stream
        )
    except (OSError, ValueError, HTTPException) as error:
        raise WorkError(
            f"Could not fetch `{url}` into `{folder}`: {str(error).rstrip('.')}. "
            "Try again later, or get the files of this set elsewhere, put them into a folder "
            f"`{folder.name}/`, and name the folder above it by `LIGHTLOOM_DATA` or `--data`."
        ) from error
    return Path(path)


def _answer(url: str) -> HTTPResponse:
    from urllib.error import HTTPError
    from urllib.request import urlopen

    try:
        return cast(HTTPResponse, urlopen(url, timeout=_TIMEOUT_S))
    except HTTPError as error:
        error.close()  # it holds the connection, and is kept as the cause of what the user sees
        raise


def _stream(url: str, output_file: str, pooch: object) -> None:
    """Download the bytes as they are stored, with a progress bar on a terminal.

    The downloader that pooch brings would unpack a `.gz` that a server labels `Content-Encoding: gzip`, and
    the checksum is of the packed file.
    """
    from rich.progress import Progress

    from lightloom.common.progress import console, is_quiet

    screen = console()
    with (
        _answer(url) as response,
        Path(output_file).open("wb") as stream,
        Progress(console=screen, transient=True, disable=is_quiet() or not screen.is_terminal) as progress,
    ):
        length = response.headers.get("Content-Length")
        bar = progress.add_task(url.rsplit("/", 1)[1], total=int(length) if length else None)
        while piece := response.read(_CHUNK):
            stream.write(piece)
            progress.advance(bar, len(piece))
