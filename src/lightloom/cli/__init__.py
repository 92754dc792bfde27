"""The command line: verbs, arguments, exit codes. Everything heavy is imported inside a verb."""

from lightloom.cli import running, exploring, detecting, listing, measuring  # noqa: F401, I001 - as help lists them
from lightloom.cli.app import app

__all__ = ["app", "main"]


def main() -> None:
    """Entry point of the `lightloom` command."""
    app()
