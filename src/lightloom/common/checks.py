"""What callers hand over, checked before anything is made of it: whole numbers, and objects of a kind."""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Iterable

from lightloom.common.errors import RequestError

LARGEST_SEED = 2**63 - 1
"""Largest seed: random streams and saved files hold 63 bits of it."""

_LONGEST = 60  # characters of a value that a message shows


def shown(value: object) -> str:
    """A value as a message shows it: its type, and as much of it as fits on a line.

    A class may have a `purpose`, which says what its objects are for.
    """
    if value is None:
        return "None"
    if isinstance(value, str | int | float | bool):
        return f"{_short(value)} ({type(value).__name__})"
    return _short(value)


def _short(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"  # too long for decimal digits
    purpose = getattr(type(value), "purpose", "")
    if purpose:
        name = getattr(value, "name", "")
        return f"`{name}`, {purpose}" if name else str(purpose)
    if not isinstance(value, str | int | float | bool | type):
        count = f" of {len(value)}" if isinstance(value, list | tuple | dict | set) else ""
        return f"a {type(value).__name__}{count}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def is_whole(value: object) -> bool:
    """Whether it is an integer of any type that 64 bits hold; truth values are none."""
    if isinstance(value, bool) or type(value).__name__ in ("bool_", "bool"):
        return False
    try:
        return abs(operator.index(value)) <= LARGEST_SEED  # type: ignore[arg-type]  # what has no index is the question
    except (TypeError, ValueError, RuntimeError):  # as tensors of several numbers answer
        return False


def is_real(value: object) -> bool:
    """Whether it is a real number of any type, infinite ones too; truth values and NaN are none."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    try:
        return not math.isnan(float(value))
    except OverflowError:
        return False


def whole_number(given: object, name: str, *, least: int = 0, most: int | None = None, mend: str = "") -> int:
    """A whole number as Python's own `int`, whatever kind of integer it was; truth values are none.

    Args:
        given: What the caller handed over.
        name: Of the argument, for the message.
        least: Smallest number that is taken.
        most: Largest number that is taken; None is any.
        mend: A sentence that says what to give in its place.

    Raises:
        RequestError: It is no whole number, or one out of range.
    """
    upto = f"of {least} or more" if most is None else f"from {least} to {most}"
    wrong = f"`{name}` is {shown(given)}; give a whole number {upto}. {mend}".rstrip()
    if not is_whole(given):
        raise RequestError(wrong)
    number = operator.index(given)  # type: ignore[arg-type]  # it has one
    if number < least or (most is not None and number > most):
        raise RequestError(wrong)
    return number


def seed_number(given: object, name: str = "seed", mend: str = "") -> int:
    """A seed: a whole number from 0 to `LARGEST_SEED`. Raises `RequestError` where it is none.

    Args:
        given: What was given as a seed.
        name: What the message calls it.
        mend: How to mend it, a sentence for the message.
    """
    return whole_number(given, name, most=LARGEST_SEED, mend=mend)


def seed_numbers(given: object, name: str = "seeds") -> tuple[int, ...]:
    """Several seeds, as of `range(8)`. Raises `RequestError` where one is none, or it is no sequence of them.

    Args:
        given: What was given as seeds.
        name: What the message calls them.
    """
    if isinstance(given, str | bytes) or not isinstance(given, Iterable):
        raise RequestError(f"`{name}` is {shown(given)}; give several seeds, such as `range(8)` or `[0]`.")
    return tuple(seed_number(seed, f"{name}[{place}]") for place, seed in enumerate(given))


def real_number(given: object, name: str, *, least: float = 0.0, above: bool = False, mend: str = "") -> float:
    """A finite number as Python's own `float`; truth values and text are none.

    Args:
        given: What the caller handed over.
        name: Of the argument, for the message.
        least: Smallest number that is taken.
        above: Whether the number has to be more than `least`.
        mend: A sentence that says what to give in its place.

    Raises:
        RequestError: It is no finite number, or one out of range.
    """
    bound = f"above {least:g}" if above else f"of {least:g} or more"
    wrong = f"`{name}` is {shown(given)}; give a finite number {bound}. {mend}".rstrip()
    if not is_real(given):
        raise RequestError(wrong)
    number = float(given)  # type: ignore[arg-type]  # it is a number
    if not math.isfinite(number) or number < least or (above and number == least):
        raise RequestError(wrong)
    return number
