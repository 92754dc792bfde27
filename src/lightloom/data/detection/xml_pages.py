"""XML files of annotations, in whatever encoding a labelling tool wrote them, without a document type."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from lightloom.common.errors import RequestError
from lightloom.data.detection.texts import DamagedFileError, marked_encoding, read_content

_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([^"']+)["']""")
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030", "shift_jis": "cp932", "euc_kr": "cp949", "big5": "cp950",
          "ascii": "utf-8", "euc_jp": "euc_jis_2004"}  # fmt: skip
"""Encodings, by Python's names, that tools declare while they write one with more characters."""

_ALIASES = {"windows-31j": "cp932", "x-sjis": "cp932", "x-gbk": "gbk", "windows-936": "gbk", "windows-949": "cp949"}


def parse_xml(path: Path) -> Element:
    """The root of an XML file. A document type definition, and with it every entity, is refused.

    The encoding is that of a byte order mark, or the declared one, or UTF-8.

    Raises:
        DamagedFileError: It cannot be read or decoded or does not parse (names the line).
        RequestError: It has a DTD.
    """
    text = _text(path)
    builder = TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise RequestError(f"`{path}`, line {parser.CurrentLineNumber}: a DTD is not read; remove the DOCTYPE.")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes)
    parser.EndElementHandler = lambda tag: builder.end(tag)
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise DamagedFileError(f"`{path}`, line {error.lineno}: not XML: {expat.ErrorString(error.code)}.") from None
    except UnicodeEncodeError as error:
        raise DamagedFileError(f"`{path}` holds half of a character ({error.reason}); write it again.") from None
    return builder.close()


def _text(path: Path) -> str:
    content = read_content(path)
    encoding = marked_encoding(content) or _declared(content, path)
    place = 0
    for name in dict.fromkeys((encoding, _WIDER.get(codecs.lookup(encoding).name, encoding))):
        try:
            return content.decode(name)
        except UnicodeError as error:
            place = getattr(error, "start", 0)
    raise DamagedFileError(
        f"`{path}` should be in `{encoding}` and is not: byte {place} is 0x{content[place]:02x}. Save it in UTF-8."
    )


def _declared(content: bytes, path: Path) -> str:
    """The encoding that the first line declares, for content without a byte order mark."""
    for name, start in (("utf-16-le", b"<\0"), ("utf-16-be", b"\0<")):
        if content.startswith(start):
            return name
    match = _DECLARED.match(content)
    encoding = match[1].decode("ascii", "replace") if match else "utf-8"
    encoding = _ALIASES.get(encoding.lower(), encoding)
    try:
        info = codecs.lookup(encoding)
        "".encode(encoding)
    except (LookupError, ValueError):
        raise DamagedFileError(
            f"`{path}` declares the encoding `{encoding}`, which nobody knows. Declare the one that it is in, or UTF-8."
        ) from None
    # the declaration itself could be read, so these were written by a tool that then saved in another one
    return "utf-8" if info.name.startswith(("utf-16", "utf-32")) else encoding
