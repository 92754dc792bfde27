"""The command line: verbs, arguments, exit codes. Everything heavy is imported inside a verb."""

import os  # noqa: I001 - verbs as help lists them
import sys
from io import TextIOWrapper

from lightloom.cli import running, exploring, detecting, listing, measuring  # noqa: F401
from lightloom.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the `lightloom` command."""
    sys.argv[1:] = map(_as_utf8, sys.argv[1:])
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # where the locale knows few characters
    app()


def _as_utf8(word: str) -> str:
    """A `key=value` as it was typed, where the locale says nothing of its letters; file names stay as they are."""
    if word.startswith("-") or "=" not in word:
        return word
    return os.fsencode(word).decode("utf-8", "surrogateescape")
