"""What every file of a run folder goes through: it is read as JSON and checked against what a run writes there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, Field

from lightloom.common.files import read_json
from lightloom.common.records import check

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
