"""The report: one self-contained page that tells the story of a run from its folder alone."""

from __future__ import annotations

import os
from pathlib import Path


def write_report(folder: Path) -> Path:
    """Write `report.html`, and its plots and pictures into `plots`, into a run folder.

    Whatever the run did not write is left out: a run that only trained still gets a page.

    Args:
        folder: The run folder. Nothing outside it is read.

    Returns:
        The path of the page.

    Raises:
        RequestError: The folder holds no file of a run, or one of its files is unreadable.
        WorkError: The disk refuses the page.
    """
    from lightloom.common.files import make_folder, reserve, write_bytes, write_text
    from lightloom.report.pages.hybrid_section import hybrids
    from lightloom.report.pages.run import draw, render
    from lightloom.report.pictures.multi_camera import surround
    from lightloom.report.readers.run import read_run

    run = read_run(folder)
    page = folder / "report.html"
    reserve(page)
    plots = draw(run)
    hybrid = hybrids(run)
    around = surround(run)
    html = render(run, plots, hybrid, around)
    pictures = dict(hybrid.files()) if hybrid is not None else {}
    if around is not None:
        pictures |= dict(around.files())
        plots |= {plot.name: plot for plot in around.plots()}
    if plots or pictures:
        make_folder(folder / "plots")
    for plot in plots.values():
        write_text(folder / "plots" / f"{plot.name}.svg", plot.standalone())
    for name, content in pictures.items():
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


__all__ = ["compare", "write_report"]
