"""What callers hand over, checked before anything is made of it: whole numbers, and objects of a kind."""

from __future__ import annotations

import math
import numbers
import operator
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError

LARGEST_SEED = 2**63 - 1
"""Of every seed: random streams and saved files hold 63 bits of it."""

_LONGEST = 60  # characters of a value that a message shows


def shown(value: object) -> str:
    """A value as a message shows it: its type, and as much of it as fits on a line."""
    text = "" if value is None else _short(value)
    return "None" if value is None else f"{text} ({type(value).__name__})"


def _short(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 200:
        return f"a number of {value.bit_length()} bits"  # too long for decimal digits
    if not isinstance(value, str | int | float | bool | type):
        count = f" of {len(value)}" if isinstance(value, list | tuple | dict | set) else ""
        return f"a {type(value).__name__}{count}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


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
    if isinstance(given, bool) or type(given).__name__ in ("bool_", "bool"):
        raise RequestError(wrong)
    try:
        number = operator.index(given)  # type: ignore[arg-type]  # what has no index is refused below
    except TypeError:
        raise RequestError(wrong) from None
    if number < least or (most is not None and number > most):
        raise RequestError(wrong)
    return number


def seed_number(given: object, name: str = "seed", mend: str = "") -> int:
    """A seed: a whole number from 0 to `LARGEST_SEED`. Raises `RequestError` where it is none."""
    return whole_number(given, name, most=LARGEST_SEED, mend=mend)


def seed_numbers(given: object, name: str = "seeds") -> tuple[int, ...]:
    """Several seeds, as of `range(8)`. Raises `RequestError` where one is none, or it is no sequence of them."""
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
    if isinstance(given, bool) or not isinstance(given, numbers.Real):
        raise RequestError(wrong)
    try:
        number = float(given)
    except OverflowError:
        raise RequestError(wrong) from None
    if not math.isfinite(number) or number < least or (above and number == least):
        raise RequestError(wrong)
    return number


def file_path(given: object, name: str) -> Path:
    """A path, given as one or as text. Raises `RequestError` where it is neither."""
    if isinstance(given, str | os.PathLike) and given != "":
        return Path(given)
    raise RequestError(f"`{name}` is {shown(given)}; give a path.")


def require_kind(given: object, kinds: type[Any] | tuple[type[Any], ...], name: str, expected: str) -> None:
    """Refuse an argument of another type.

    Args:
        given: What the caller handed over.
        kinds: Types that are taken.
        name: Of the argument, for the message.
        expected: What to give, as the end of a sentence: "a `torch.nn.Module`".

    Raises:
        RequestError: It is of none of the types.
    """
    if not isinstance(given, kinds):
        raise RequestError(f"`{name}` is {shown(given)}; give {expected}.")
