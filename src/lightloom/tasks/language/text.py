"""Texts to learn from: Python's own help, which is always there, or a file of the user's in UTF-8."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from lightloom.common.errors import RequestError

EMBEDDED = "pydoc"
"""Name of the text that comes with every Python: the topics of `help()`."""

MOST_BYTES = 1 << 28
"""Largest file that is read whole: 256 MiB, which take 2 GiB as numbers of characters."""

_SHOWN_BYTES = 8


class Text(NamedTuple):
    """A text and where it is from."""

    characters: str
    """All of it, with lines that end in a line feed."""
    title: str
    """What it is, in a few words."""
    sha256: str
    """SHA-256 of the file's bytes, or of the embedded text in UTF-8; 64 hexadecimal digits."""

    def cut(self, limit: int | None) -> Text:
        """Its first `limit` characters, with the title and the hash of the whole; None leaves it as it is."""
        return self if limit is None else self._replace(characters=self.characters[:limit])


def read_text(name: str) -> Text:
    """The text of a name.

    Args:
        name: `EMBEDDED`, or the path of a file in UTF-8.

    Raises:
        RequestError: There is no such file, or it is empty, too large, or no text in UTF-8.
    """
    return embedded_text() if name == EMBEDDED else _read_file(Path(name).expanduser())


def embedded_text() -> Text:
    """The topics of Python's `help()`, in alphabetical order, each paragraph once.

    Topics quote each other at length. What an earlier one has said already is left out, so that no paragraph of the
    test part was learnt by heart. The text differs from one version of Python to the next, and so does its hash.
    """
    from platform import python_version
    from pydoc_data.topics import topics

    paragraphs: dict[str, str] = {}
    for topic in sorted(topics):
        for paragraph in topics[topic].split("\n\n"):
            paragraphs.setdefault(" ".join(paragraph.split()), paragraph)
    characters = "\n\n".join(paragraphs.values())
    title = f"help topics of Python {python_version()}, each paragraph once"
    return Text(characters, title, hashlib.sha256(characters.encode()).hexdigest())


def _read_file(path: Path) -> Text:
    content = _bytes_of(path)
    if not content:
        raise RequestError(f"`{path}` is empty; give a file with text in it.")
    try:
        characters = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        wrong = content[error.start : error.start + _SHOWN_BYTES].hex(" ")
        raise RequestError(
            f"`{path}` is not text in UTF-8: byte {error.start} is wrong ({wrong}). Give a text file, or convert it, "
            f"such as by `iconv -f LATIN1 -t UTF-8`."
        ) from None
    if "\0" in characters:
        raise RequestError(
            f"`{path}` is no text: its character {characters.index(chr(0))} is NUL, as in binary files. Give a text "
            "file in UTF-8."
        )
    lines = characters.replace("\r\n", "\n").replace("\r", "\n")
    return Text(lines, f"file `{path.name}`", hashlib.sha256(content).hexdigest())


def _bytes_of(path: Path) -> bytes:
    try:
        if not path.exists():
            raise RequestError(
                f"There is no text `{path}`. Give `{EMBEDDED}`, the text that is always there, or the path of a file."
            )
        if not path.is_file():
            raise RequestError(f"`{path}` is no file; give the path of one text file in UTF-8.")
        size = path.stat().st_size
        if size > MOST_BYTES:
            raise RequestError(
                f"`{path}` has {size:,} bytes, and a text is held in memory whole; give one of at most {MOST_BYTES:,}."
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a name that is too long, or holds NUL, is no path at all
        if isinstance(error, RequestError):
            raise
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"`{path}` cannot be read: {reason}. Give the path of a text file in UTF-8.") from None
