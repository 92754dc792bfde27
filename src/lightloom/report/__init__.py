"""The report: one self-contained page that tells the story of a run from its folder alone."""

from __future__ import annotations

from pathlib import Path


def write_report(folder: Path) -> Path:
    """Write `report.html` and `plots/*.svg` into a run folder.

    Whatever the run did not write is left out: a run that only trained still gets a page.

    Args:
        folder: The run folder. Nothing outside it is read.

    Returns:
        The path of the page.

    Raises:
        RequestError: The folder holds no file of a run, or one of its files is unreadable.
        WorkError: The disk refuses the page.
    """
    from lightloom.common.files import make_folder, write_text
    from lightloom.report.page import draw, render
    from lightloom.report.read import read_run

    run = read_run(folder)
    plots = draw(run)
    html = render(run, plots)
    if plots:
        make_folder(folder / "plots")
    for plot in plots.values():
        write_text(folder / "plots" / f"{plot.name}.svg", plot.standalone())
    page = folder / "report.html"
    write_text(page, html)
    return page


__all__ = ["write_report"]
