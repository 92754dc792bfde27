"""The report: one self-contained page that tells the story of a run from its folder alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightloom.report.readers.run import Run
    from lightloom.report.section import Section, SectionBuilder, figure, fill, paragraph, table

_LAZY = {
    "Run": "readers.run",
    **dict.fromkeys(("Section", "SectionBuilder", "figure", "fill", "paragraph", "table"), "section"),
}


def __getattr__(name: str) -> Any:
    """Load what a task's own sections are made with once it is asked for: none of it is needed to start the program."""
    if name in _LAZY:
        return getattr(import_module(f"lightloom.report.{_LAZY[name]}"), name)
    raise AttributeError(f"module `lightloom.report` has no attribute `{name}`")


def write_report(folder: Path, sections: Sequence[SectionBuilder] = ()) -> Path:
    """Write `report.html`, and its plots and pictures into `plots`, into a run folder.

    Whatever the run did not write is left out: a run that only trained still gets a page.

    Args:
        folder: The run folder. Nothing outside it is read.
        sections: What builds the sections of the task's own: each takes a `Run` and returns `Section` records.

    Returns:
        The path of the page.

    Raises:
        RequestError: The folder holds no file of a run, or one of its files is unreadable.
        WorkError: The disk refuses the page.
        ValueError: Two sections have one anchor, or two of their files one name.
    """
    from lightloom.common.files import make_folder, reserve, write_bytes, write_text
    from lightloom.report.pages.run import build_sections, render
    from lightloom.report.readers.run import read_run

    run = read_run(folder)
    page = folder / "report.html"
    reserve(page)
    built = build_sections(run, sections)
    html = render(run, built)
    if any(section.plots or section.files for section in built):
        make_folder(folder / "plots")
    for section in built:
        for plot in section.plots:
            write_text(folder / "plots" / f"{plot.name}.svg", plot.standalone())
        for name, content in section.files.items():
            write_bytes(folder / "plots" / name, content)
    write_text(page, html)
    return page


def compare(folder_a: Path, folder_b: Path, out: Path) -> Path:
    """Write one self-contained page that sets two runs side by side.

    Runs of different kinds are compared as far as they share figures.

    Args:
        folder_a: One run folder.
        folder_b: Another one.
        out: The page; where it is a folder, `compare.html` in it.

    Returns:
        The path of the page.

    Raises:
        RequestError: One folder is no run or is unreadable, both are the same, they share no figure, or something
            else than a comparison is in the place of the page.
        WorkError: The disk refuses the page.
    """
    from lightloom.common.errors import RequestError
    from lightloom.common.files import make_folder, write_text
    from lightloom.report.html_page import is_page
    from lightloom.report.pages.compare import render
    from lightloom.report.readers.run import read_run

    if folder_a.resolve() == folder_b.resolve():
        raise RequestError(f"`{folder_a}` and `{folder_b}` are the same folder. Name two runs to compare.")
    path = out / "compare.html" if out.is_dir() else out
    if os.path.lexists(path) and not (path.is_file() and is_page(path, "comparison")):
        raise RequestError(f"`{path}` is no comparison, so it is not replaced. Name another page with `--out`.")
    html = render(read_run(folder_a), read_run(folder_b), (folder_a, folder_b))
    make_folder(path.parent)
    write_text(path, html)
    return path


__all__ = ["Run", "Section", "SectionBuilder", "compare", "figure", "fill", "paragraph", "table", "write_report"]
