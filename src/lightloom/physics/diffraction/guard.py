"""What is said where a grid, a lens or a form does not serve the light."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Literal, get_args

Check = Literal["warn", "refuse", "ignore"]
"""A `SamplingWarning`, said once for one way; a ValueError; or nothing, and nothing is measured."""


class SamplingWarning(UserWarning):
    """Light on a grid that is too small or too coarse for it, or in a form that is not valid for its angles."""


def check_name(check: str) -> None:
    """Refuse what is not a check.

    Raises:
        ValueError: There is no such check.
    """
    if check not in get_args(Check):
        raise ValueError(f"light is checked by `warn`, `refuse` or `ignore`, got `{check}`")


def say(problems: Sequence[str], check: Check, depth: int) -> None:
    """Warn of problems, or refuse.

    Args:
        problems: Sentences with what was measured, what was expected, and the change that mends it.
        check: What to do; "ignore" does nothing.
        depth: Calls between here and the line that is to blame.

    Raises:
        ValueError: There is a problem, and `check` is "refuse".
    """
    if not problems or check == "ignore":
        return
    text = " ".join((*problems, 'Where this is meant, set `check="ignore"`.'))
    if check == "refuse":
        raise ValueError(text)
    warnings.warn(text, SamplingWarning, stacklevel=depth + 2)


def percent(share: float) -> str:
    """A share of the light, in two digits."""
    return f"{100 * share:.2g} %"


def metres(length: float) -> str:
    """A length, in three digits."""
    for size, unit in ((1.0, "m"), (1e-3, "mm"), (1e-6, "um")):
        if abs(length) >= size:
            return f"{length / size:.3g} {unit}"
    return f"{length * 1e9:.3g} nm"
