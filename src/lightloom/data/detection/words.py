"""Numbers and flags of annotation files, in the ways that tools write them."""

from __future__ import annotations

from math import isfinite

_YES = ("1", "1.0", "true", "yes", "t", "y")
_NO = ("", "0", "0.0", "false", "no", "none", "null", "f", "n", "unspecified")


def flag(value: object) -> bool | None:
    """A yes or no, given as a number, a truth value or a word; nothing is no, and what is neither is None."""
    word = "" if value is None else str(value).strip().lower()
    return True if word in _YES else False if word in _NO else None


def identity(value: object) -> int | str | None:
    """An id: a whole number however it is written (tables make 1 into 1.0), or a word; None where it is neither."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, float):
        return int(value) if isfinite(value) and value.is_integer() else None
    return value


def whole(value: object) -> int | None:
    """A whole number above zero, or None."""
    number = identity(value)
    if isinstance(number, str):
        try:
            number = identity(float(number))
        except ValueError:
            return None
    return number if isinstance(number, int) and number > 0 else None
