"""Text as people's tools write it: with or without a byte order mark, in UTF-8 or UTF-16."""

from __future__ import annotations

import codecs
from pathlib import Path

from lightloom.common.errors import RequestError


class DamagedFileError(RequestError):
    """A file is no text, in no known encoding, or not there: of a set, what it says of its image alone is lost."""


_MARKS = (  # the longer first: that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_text(path: Path) -> str:
    """The text of a file in UTF-8, or in the encoding that its byte order mark tells; the mark is left out.

    Raises:
        DamagedFileError: The file cannot be read or is in another encoding, which nothing in it tells.
    """
    content = read_content(path)
    encoding = marked_encoding(content) or "utf-8"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DamagedFileError(
            f"`{path}` is no text in {encoding.removesuffix('-sig').upper()}: byte {error.start} is "
            f"0x{content[error.start]:02x}. Save it in UTF-8."
        ) from None


def read_lines(path: Path) -> list[str]:
    """The lines of a text file, without spaces around them; empty ones stay, so that places are line numbers.

    Raises:
        DamagedFileError: As `read_text`.
    """
    return [line.strip() for line in read_text(path).splitlines()]


def read_content(path: Path) -> bytes:
    """The bytes of a file. Raises `DamagedFileError` where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DamagedFileError(f"Cannot read `{path}`: {error.strerror or error}.") from None


def marked_encoding(content: bytes) -> str | None:
    """The encoding that a byte order mark tells, or None without one."""
    return next((encoding for mark, encoding in _MARKS if content.startswith(mark)), None)
