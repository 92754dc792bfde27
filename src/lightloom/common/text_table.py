"""Tables as lines of plain text, for terminals and for `str`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

_WIDEST = 100_000  # columns of a terminal that nothing is broken at


def text_table(head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[int] = ()) -> list[str]:
    """Lines of a table: the head, then one line for each row; no cell is broken, however narrow the terminal.

    Args:
        head: Names of the columns.
        rows: The cells of each row.
        right: Numbers of the columns that are aligned at their right.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, name in enumerate(head):
        table.add_column(Text(name), justify="right" if number in right else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))
    console = Console(width=_WIDEST, color_system=None, markup=False)
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]
