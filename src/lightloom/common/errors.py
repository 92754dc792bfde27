"""The two kinds of failure that a user sees, and the nearest name for a typo."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class LightloomError(Exception):
    """Base of every error that Lightloom raises on purpose; its text is meant for the user."""

    exit_code = 1


class WorkError(LightloomError, RuntimeError):
    """The request was right but the work failed: a disk is full, a loss is not finite (exit code 1)."""

    exit_code = 1


class RequestError(LightloomError, ValueError):
    """The request was wrong: an unknown key, a value out of range, a file of another kind (exit code 2)."""

    exit_code = 2


def nearest(name: str, known: Iterable[str]) -> str:
    """A sentence that helps after an unknown `name`: the closest known one, or the whole list.

    Args:
        name: What was given.
        known: Every name that there is.
    """
    names = sorted(known)
    close = get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"Did you mean `{close[0]}`?"
    return "Known: " + ", ".join(f"`{known_name}`" for known_name in names) + "."
