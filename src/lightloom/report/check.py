"""What every file of a run folder goes through: it is read as JSON and checked against what a run writes there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

from lightloom.common.errors import RequestError
from lightloom.common.files import read_json

_Kind = TypeVar("_Kind")


def _without_nan(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


# In all of them, a number that is not finite counts as not there.
Real = Annotated[float | None, BeforeValidator(_without_nan)]
Amount = Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(_without_nan)]
Fraction = Annotated[Annotated[float, Field(ge=0, le=1)] | None, BeforeValidator(_without_nan)]
Degrees = Annotated[Annotated[float, Field(ge=0, le=180)] | None, BeforeValidator(_without_nan)]


def read_file(path: Path, kind: type[_Kind], absent: _Kind) -> _Kind:
    """The content of a JSON file, or `absent` where there is no such file.

    Raises:
        RequestError: It is not JSON, or it does not hold a `kind`.
    """
    return check(path, kind, read_json(path)) if path.is_file() else absent


def check(path: Path, kind: type[_Kind], content: object) -> _Kind:
    """What a file holds, as a `kind`.

    Raises:
        RequestError: It is something else; the text names the file and the first field that is wrong.
    """
    try:
        return TypeAdapter(kind).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the whole file"
        raise RequestError(
            f"`{path}` does not hold what a run writes there: {where}: {first['msg']}. "
            "Make it again with the verb that wrote it, or remove it to leave its section out."
        ) from None
