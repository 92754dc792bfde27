"""Base of every description that a user may write: frozen, keyword-only, checked, with help for a typo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from lightloom.common.arguments import alternatives, fits
from lightloom.common.checks import LARGEST_SEED
from lightloom.common.errors import RequestError, nearest

LARGEST, SMALLEST = 1e30, 1e-30
"""Bounds of the numbers of a `Section`: products of a few stay within what single precision holds."""

_LONGEST = 200  # bits of a number that a message shows


def at_most(most: float, why: str) -> AfterValidator:
    """A check of a field that refuses greater numbers, and says why; None passes.

    Args:
        most: Largest number that is taken.
        why: What would go wrong beyond it, as the end of a sentence.
    """

    def check(value: float | None) -> float | None:
        if value is not None and value > most:
            raise ValueError(f"{_shown(value)} is more than {most:g}: {why}")
        return value

    return AfterValidator(check)


def at_least(least: float, why: str) -> AfterValidator:
    """A check of a field that refuses smaller numbers, and says why; None passes.

    Args:
        least: Smallest number that is taken.
        why: What would go wrong below it, as the end of a sentence.
    """

    def check(value: float | None) -> float | None:
        if value is not None and value < least:
            raise ValueError(f"{_shown(value)} is less than {least:g}: {why}")
        return value

    return AfterValidator(check)


class Section(BaseModel):
    """A frozen group of settings. Unknown keys are refused with the nearest known one."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        allow_inf_nan=False,
        strict=False,
        validate_default=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown(cls, values: Any) -> Any:
        if isinstance(values, Mapping):
            for key in values:
                if key not in cls.model_fields:
                    raise ValueError(f"unknown key `{key}`. {nearest(str(key), cls.model_fields)}")
        return values

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_truth_values(cls, value: Any, info: ValidationInfo) -> Any:
        """True is no number, though Python would take it for 1."""
        hint = cls.model_fields[str(info.field_name)].annotation
        if (
            isinstance(value, bool)
            and any(fits(1, part) or fits(1.0, part) for part in alternatives(hint))
            and not fits(True, hint)
        ):
            raise ValueError(f"give a number, not {str(value).lower()}")
        return value

    @field_validator("*", mode="after")
    @classmethod
    def _refuse_extremes(cls, value: Any) -> Any:
        _check_extremes(value)
        return value

    @classmethod
    def parse(cls, given: Mapping[str, Any], where: str = "") -> Self:
        """Build from a mapping, as read from a file or a command line.

        Args:
            given: Keys and values.
            where: What the mapping belongs to, for the message.

        Raises:
            RequestError: A key is unknown or a value does not fit; names every such key and what was expected.
        """
        if not isinstance(given, Mapping):
            raise RequestError(f"{where or cls.__name__}: expected keys and values, got {_shown(given)}")
        try:
            return cls.model_validate(dict(given))
        except ValidationError as error:
            raise RequestError(explain(error, where or cls.__name__)) from None

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, checked like a new one. Raises as `parse`."""
        return self.parse({**{name: getattr(self, name) for name in type(self).model_fields}, **changes})


def explain(error: ValidationError, where: str) -> str:
    """What was wrong with each field of a refused `Section`, in one line per field.

    Args:
        error: Pydantic's error.
        where: What the values belong to, for the message.
    """
    lines = []
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        # what is wrong with the whole names its fields itself, and the whole is long
        suffix = "" if "unknown key" in message or not path else f", got {_shown(problem['input'])}"
        lines.append(f"{where}{'.' if path else ''}{path}: {message}{suffix}")
    return "\n".join(lines)


def _check_extremes(value: Any) -> None:
    if isinstance(value, tuple):
        for item in value:
            _check_extremes(item)
    elif isinstance(value, float) and value != 0 and not SMALLEST <= abs(value) <= LARGEST:
        raise ValueError(f"numbers are 0 or within {SMALLEST:g} ... {LARGEST:g}, so that what is computed stays finite")
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) > LARGEST_SEED:
        raise ValueError(f"whole numbers are within {LARGEST_SEED}, the most that 64 bits hold")


def _shown(value: object) -> str:
    """A value as it was written; numbers that are too long for that by their length."""
    huge = isinstance(value, int) and value.bit_length() > _LONGEST
    return f"a number of {value.bit_length()} bits" if huge and isinstance(value, int) else repr(value)
