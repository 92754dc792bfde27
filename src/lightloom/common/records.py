"""JSON files that a run has written, read back and checked: one that was damaged since is refused by file and field."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from lightloom.common.errors import RequestError
from lightloom.common.files import read_json

_Kind = TypeVar("_Kind")


def read_record(path: Path, kind: Any, absent: Any = None) -> Any:
    """The content of a JSON file as plain values, or `absent` where there is no such file.

    Args:
        path: Of the file.
        kind: What it has to hold: a type with a schema. Fields beyond it are left as they are.
        absent: What stands for a file that is not there; None makes it an error.

    Raises:
        RequestError: The file is missing, is not JSON, holds a number that is not finite, or no `kind`.
    """
    if absent is not None and not path.is_file():
        return absent
    content = read_json(path)
    check_finite(path, content)
    check(path, kind, content, strict=True)
    return content


def check(path: Path, kind: type[_Kind], content: object, *, strict: bool = False) -> _Kind:
    """What a file holds, as a `kind`.

    Args:
        path: Of the file.
        kind: What it has to hold.
        content: What it does hold.
        strict: Whether text that reads as a number is refused as one.

    Raises:
        RequestError: It is something else; the text names the file and the first field that is wrong.
    """
    adapter = TypeAdapter(kind)
    try:
        return adapter.validate_json(json.dumps(content), strict=True) if strict else adapter.validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise RequestError(_told(path, f"{where}: {first['msg']}")) from None


def check_finite(path: Path, content: object, where: str = "") -> None:
    """Refuse a number that is not finite, anywhere in a file. Raises `RequestError`, which names file and field.

    Args:
        path: The file, for the message.
        content: What it holds.
        where: Path of keys of this part of it, for the message.
    """
    if isinstance(content, float) and not math.isfinite(content):
        raise RequestError(_told(path, f"{where or 'the whole file'}: {content} is no finite number"))
    if isinstance(content, Mapping):
        for key, value in content.items():
            check_finite(path, value, f"{where}.{key}".lstrip("."))
    elif isinstance(content, list):
        for place, value in enumerate(content):
            check_finite(path, value, f"{where}.{place}".lstrip("."))


def _told(path: Path, what: str) -> str:
    return (
        f"`{path}` does not hold what a run writes there: {what}. Make it again with the verb that wrote it, or remove "
        "it to leave its section out."
    )
