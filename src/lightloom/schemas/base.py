"""What all records of a run folder have in common, and how a file is written and read through them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, overload

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from lightloom.common.files import append_json_line, read_json, write_json
from lightloom.common.records import check, check_finite

_Content = TypeVar("_Content")


def _without_nan(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _absent_as_empty(value: object) -> object:
    return "" if value is None else value


# In all four of these, a number that is not finite counts as not there.
Real = Annotated[float | None, BeforeValidator(_without_nan)]
Amount = Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(_without_nan)]
Fraction = Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_without_nan)]
Degrees = Annotated[Annotated[float, Field(ge=0, le=180)] | None, BeforeValidator(_without_nan)]

Text = Annotated[str, BeforeValidator(_absent_as_empty)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Record(BaseModel):
    """A part of a file of a run folder. It is frozen; a key that it does not know is left out when a file is read."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True, validate_by_name=True)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed, checked like a new one."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        return type(self).model_validate(values | changes)

    def plain(self) -> dict[str, Any]:
        """Return the record as values that JSON has, under the names that the file uses."""
        return self.model_dump(mode="json", by_alias=True)


Content = Record | Sequence[Record] | dict[str, Any]


def write(path: Path, content: Content) -> None:
    """Write a record, a list of records, or a mapping to records, as one JSON file.

    Args:
        path: The file to make or replace; its folder must exist.
        content: What the file is to hold.

    Raises:
        RequestError: A file of that name is somebody else's.
        WorkError: The disk is full or refuses; the old file, if any, is untouched.
    """
    write_json(path, _plain(content))


def write_plain(path: Path, kind: Any, content: object) -> None:
    """Write plain values as one JSON file, once they are what its record says: every key is known, every value fits.

    Args:
        path: The file to make or replace; its folder must exist.
        kind: The record, or the list or mapping of records, that the file holds.
        content: Plain values, as JSON has them.

    Raises:
        ValueError: A value does not fit, or the record does not know a key; the text names it.
        RequestError: A file of that name is somebody else's.
        WorkError: The disk is full or refuses; the old file, if any, is untouched.
    """
    adapter = TypeAdapter(kind)
    record = adapter.validate_python(content)
    for key in _unknown(content, adapter.dump_python(record, mode="json", by_alias=True)):
        raise ValueError(f"`{path.name}` cannot be written: its record in `lightloom.schemas` has no field `{key}`")
    write_json(path, content)


def _unknown(content: object, template: object, where: str = "") -> Iterator[str]:
    """The keys of plain values that a record left out, each by its path."""
    if isinstance(content, Mapping) and isinstance(template, Mapping):
        for key, value in content.items():
            if str(key) not in template:
                yield f"{where}{key}"
            else:
                yield from _unknown(value, template[str(key)], f"{where}{key}.")
    elif isinstance(content, list | tuple) and isinstance(template, list):
        for place, (value, item) in enumerate(zip(content, template, strict=False)):
            yield from _unknown(value, item, f"{where}{place}.")


def append(path: Path, record: Record) -> None:
    """Append one record as a line of a JSON-lines file, without the fields that nobody set.

    Args:
        path: The file; it is made where it is absent.
        record: What the line is to hold.

    Raises:
        RequestError: A file of that name is somebody else's.
        WorkError: The disk is full or refuses.
    """
    append_json_line(path, record.model_dump(mode="json", by_alias=True, exclude_unset=True))


@overload
def read(path: Path, kind: type[_Content], absent: _Content, *, strict: bool = False) -> _Content: ...


@overload
def read(path: Path, kind: type[_Content], absent: None = None, *, strict: Literal[True]) -> _Content: ...


def read(path: Path, kind: type[_Content], absent: _Content | None = None, *, strict: bool = False) -> _Content | None:
    """Read a JSON file and check it against the record of it.

    Args:
        path: The file.
        kind: The record, or the list or mapping of records, that it has to hold.
        absent: What stands for a file that is not there.
        strict: Whether a missing file without an `absent`, a number that is not finite, and text that reads as a number
            are refused, as stages do that go on from the file; a report leaves out what it cannot use.

    Raises:
        RequestError: The file is not JSON or does not hold a `kind`; the text names the file and the field.
    """
    if not path.is_file() and (absent is not None or not strict):
        return absent
    content = read_json(path)
    if strict:
        check_finite(path, content)
    return check(path, kind, content, strict=strict)


def parse(kind: type[_Content], content: object) -> _Content:
    """Build a record from plain values. Raises pydantic's `ValidationError` where they do not fit.

    Args:
        kind: The record, or the list or mapping of records.
        content: Plain values, as JSON has them.
    """
    return TypeAdapter(kind).validate_python(content)


def _plain(content: Any) -> Any:
    if isinstance(content, Record):
        return content.plain()
    if isinstance(content, dict):
        return {key: _plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_plain(value) for value in content]
    return content
