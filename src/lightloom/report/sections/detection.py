"""What a network that detects finds, in images and in space, and how precise it is."""

from __future__ import annotations

from collections.abc import Iterator

from lightloom.report import units
from lightloom.report.pictures.detection_gallery import found_sheets, swatches
from lightloom.report.pictures.multi_camera import surround
from lightloom.report.plots.precision_recall import precision3d_plots, precision_plots
from lightloom.report.readers.run import Run
from lightloom.report.section import Section, fill_file

_PRECISION = (
    "Recall is how many of the objects are found, precision how many of the boxes are right; a lower threshold trades "
    "one for the other."
)


def gallery(run: Run) -> Iterator[Section]:
    """Images of the test set with what is there and what each case finds."""
    sheets = tuple(found_sheets(run))
    if run.detections is None or not sheets:
        return
    least = units.rounded(run.detections.listed.threshold)
    lead = (
        f"Images of the test set: what is there, and what each case finds with a score of {least} and more, solid over "
        "the dashed truth. An object counts as found where a box of its class overlaps it by half."
    )
    body = fill_file("sections/gallery.html.j2", sheets=sheets, swatches=tuple(swatches(run)))
    files = {name: content for sheet in sheets for name, content in sheet.files.items()}
    yield Section("What is found", "found", body, lead, files=files)


def precision_in_images(run: Run) -> Iterator[Section]:
    """Precision over recall of boxes in images."""
    plots = tuple(precision_plots(run))
    if plots:
        body = fill_file("sections/plots.html.j2", plots=plots, grid="two even")
        yield Section("Precision and recall", "precision", body, _PRECISION, plots)


def multi_camera(run: Run) -> Iterator[Section]:
    """Samples of the test set through all cameras, from above, and as maps of the ground."""
    around = surround(run)
    if around is None:
        return
    lead = (
        "Samples of the test set: what is there, and what each case finds with a score of "
        f"{units.rounded(around.threshold)} and more. The front of a box is filled. From above, forward is up, dots "
        "are queries, and arrows reach as far as an object goes in a second. An object counts as found where a box of "
        f"its class is less than 2{units.NO_BREAK}m away."
    )
    body = fill_file("sections/multi_camera.html.j2", around=around)
    plots, files = tuple(around.plots()), dict(around.files())
    yield Section("Around the vehicle", "around", body, lead, plots, files, style="around")


def precision_in_space(run: Run) -> Iterator[Section]:
    """Precision over recall of boxes in space."""
    plots = tuple(precision3d_plots(run))
    if plots:
        lead = f"{_PRECISION} The average precision of nuScenes is what lies above 10{units.NO_BREAK}% of both."
        body = fill_file("sections/plots.html.j2", plots=plots, grid="two even start")
        yield Section("Precision and recall in space", "precision3d", body, lead, plots)
