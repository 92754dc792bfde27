"""The section on detection in space: each sample through all cameras, from above, and as a map of the ground."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from lightloom.report.pictures.bird_view import TRUTH, as_rows, bird_plots, in_words, matches, surest
from lightloom.report.pictures.boxes2d import colour, ink
from lightloom.report.pictures.boxes3d import Wire, annotate3d, wires
from lightloom.report.pictures.detection_gallery import Swatch
from lightloom.report.pictures.ground_maps import ground_sheet
from lightloom.report.pictures.sheets import Sheet, jpeg, montage, uri
from lightloom.report.readers.detection3d import Detections3D
from lightloom.report.readers.run import Run
from lightloom.report.readers.sweep import ranked
from lightloom.report.svg import Plot
from lightloom.schemas import Box3D, CameraImage, DetectedSample, ScoredBox3D

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_CASES = 7
_SIDES = (800, 640, 480, 360, 240)  # of a picture in px; the first with which all of them fit
_ROOM = 2_400_000  # bytes, for all pictures of cameras on a page
_UNITS = 1000  # in which boxes are drawn, across a picture
_FILE = 480  # px of a picture in a file
_COLUMNS = 3


@dataclass(frozen=True)
class Mark:
    """One box over a picture: paths of its edges and of its front, and what it is."""

    edges: str
    front: str
    colour: str
    said: str


@dataclass(frozen=True)
class Layer:
    """What is drawn over a picture where a case is chosen; case 0 is the truth."""

    number: int
    label: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class View:
    """One camera: its picture, what is there, and what each case finds."""

    channel: str
    source: str
    alt: str
    height: int
    """Height of the drawing, which is `_UNITS` wide."""
    there: str
    """A path of the edges of all that is there."""
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Above:
    """A sample from above as one case sees it."""

    plot: Plot
    title: str
    note: str


@dataclass(frozen=True)
class SamplePage:
    """All that is shown of one sample."""

    title: str
    note: str
    views: tuple[View, ...]
    above: tuple[Above, ...]
    ground: Sheet | None


@dataclass(frozen=True)
class Surround:
    """The section on detection in space; `files` go to `plots/` by name."""

    choices: tuple[str, ...]
    """The truth, then the cases."""
    chosen: int
    swatches: tuple[Swatch, ...]
    threshold: float
    units: int
    samples: tuple[SamplePage, ...]
    pictures: tuple[tuple[str, bytes], ...]

    def plots(self) -> Iterator[Plot]:
        """Every drawing from above."""
        for sample in self.samples:
            yield from (above.plot for above in sample.above)

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Every picture that goes beside the page, by the name of its file."""
        yield from self.pictures
        for sample in self.samples:
            yield from sample.ground.files.items() if sample.ground is not None else ()


def surround(run: Run) -> Surround | None:
    """The section on detection in space, None where a run shows none."""
    detections = run.detections3d
    if detections is None or not detections.shown:
        return None
    cases = ranked(run.sweep, detections.cases)[:MOST_CASES]
    side = _side(detections)
    return Surround(
        (TRUTH, *cases),
        _chosen(run, cases),
        tuple(_swatches(detections)),
        detections.listed.threshold,
        _UNITS,
        tuple(_sample_page(detections, place, cases, side) for place in range(len(detections.shown))),
        tuple(_files(detections, cases)),
    )


def around(cameras: Sequence[CameraImage]) -> list[int]:
    """Places of cameras in the order of a page: those that look ahead from left to right, then those behind.

    Where a camera looks follows from its projection: depth grows along its optical axis.
    """
    ways = [math.atan2(camera.project[2][1], camera.project[2][0]) for camera in cameras]
    ahead = sorted((-way, place) for place, way in enumerate(ways) if abs(way) <= math.pi / 2)
    behind = sorted((way % math.tau, place) for place, way in enumerate(ways) if abs(way) > math.pi / 2)
    return [place for _, place in chain(ahead, behind)]


def _chosen(run: Run, cases: Sequence[str]) -> int:
    """The case that is shown first: the best of a comparison, else the first; the truth where no case looked."""
    best = run.sweep.best.name if run.sweep is not None else ""
    return 1 + (cases.index(best) if best in cases else 0) if cases else 0


def _swatches(detections: Detections3D) -> Iterator[Swatch]:
    """The classes that are in sight, in their order."""
    boxes = chain.from_iterable((*sample.truth, *chain(*sample.cases.values())) for sample in detections.shown)
    for label in sorted({box.label for box in boxes}):
        yield Swatch(detections.listed.classes[label], colour(label), ink(colour(label)))


def _side(detections: Detections3D) -> int:
    """The most px that pictures may have across, so that all of them fit into the page."""
    pictures = [picture for sample in detections.pictures for picture in sample]
    for side in _SIDES[:-1]:
        if sum(len(jpeg(_reduced(picture, side))) for picture in pictures) <= _ROOM:
            return side
    return _SIDES[-1]


def _reduced(picture: Image, side: int) -> Image:
    """The picture, scaled down to at most `side` px across."""
    if picture.width <= side:
        return picture
    return picture.resize((side, max(1, round(picture.height * side / picture.width))))


def _sample_page(detections: Detections3D, place: int, cases: Sequence[str], side: int) -> SamplePage:
    sample, record = detections.shown[place], detections.listed
    case_numbers = [(0, TRUTH), *((number, case) for number, case in enumerate(cases, 1) if case in sample.cases)]
    views = tuple(
        _view(sample, camera, detections.pictures[place][camera], record.classes, case_numbers, side)
        for camera in around(sample.cameras)
    )
    plots = bird_plots(sample, place, record.area, record.classes, cases)
    above = tuple(Above(plot, case, _note(sample, case)) for plot, (_, case) in zip(plots, case_numbers, strict=True))
    title = f"Sample {place + 1}" + (f": {sample.scene}" if sample.scene else "")
    note = f"{in_words(sample.truth, record.classes)}."
    return SamplePage(title, note[:1].upper() + note[1:], views, above, ground_sheet(detections, place, cases))


def _view(
    sample: DetectedSample,
    number: int,
    picture: Image,
    classes: Sequence[str],
    case_numbers: Sequence[tuple[int, str]],
    side: int,
) -> View:
    """One camera with a layer for each case that looked; `case_numbers` are numbers and names, the truth first."""
    camera = sample.cameras[number]
    height = max(1, round(_UNITS * camera.height / camera.width))
    scale = _UNITS / camera.width
    project = [[scale * part for part in row] for row in camera.project[:2]] + [list(row) for row in camera.project[2:]]

    def seen(boxes: Sequence[Box3D]) -> list[tuple[Box3D, Wire]]:
        detections = zip(boxes, wires(as_rows(boxes), project, (_UNITS, height)), strict=True)
        return sorted(((box, wire) for box, wire in detections if wire is not None), key=lambda pair: -pair[1].depth)

    there = seen(sample.truth)
    layers = []
    for place, case in case_numbers:
        inside = seen(surest(sample.cases[case])) if place else there
        words = in_words([box for box, _ in inside], classes)
        marks = tuple(_mark(box, wire, classes) for box, wire in inside)
        layers.append(Layer(place, f"{case} in {camera.channel}: {words}.", marks))
    alt = f"What {camera.channel} sees: {in_words([box for box, _ in there], classes)}."
    outlines = "".join(_path(wire) for _, wire in there)
    return View(camera.channel, uri(jpeg(_reduced(picture, side)), "jpeg"), alt, height, outlines, tuple(layers))


def _mark(box: Box3D, wire: Wire, classes: Sequence[str]) -> Mark:
    front = "M" + "L".join(f"{x:.0f} {y:.0f}" for x, y in wire.front) + "Z" if len(wire.front) > 2 else ""
    score = f" {box.score:.2f}" if isinstance(box, ScoredBox3D) else ""
    return Mark(_path(wire), front, colour(box.label), f"{classes[box.label]}{score}")


def _path(wire: Wire) -> str:
    return "".join(f"M{x0:.0f} {y0:.0f}L{x1:.0f} {y1:.0f}" for (x0, y0), (x1, y1) in wire.edges)


def _note(sample: DetectedSample, case: str) -> str:
    """What a case gets right, or how much there is."""
    total = len(sample.truth)
    if case not in sample.cases:
        return f"{total or 'no'} {'object' if total == 1 else 'objects'}"
    detections = sample.cases[case]
    right = matches(sample.truth, detections)
    false = len(detections) - right
    return f"{right} of {total} found, {false or 'no'} false {'box' if false == 1 else 'boxes'}"


def _files(detections: Detections3D, cases: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """All cameras of each sample with what is there, and with what each case finds: `cameras-MOMENT-CASE.jpg`."""
    for place, sample in enumerate(detections.shown):
        truth = as_rows(sample.truth)
        for number, case in enumerate((TRUTH, *cases)):
            if not sample.cameras or (number and case not in sample.cases):
                continue
            boxes = surest(sample.cases[case]) if number else sample.truth
            labels, scores = [box.label for box in boxes], [box.score for box in boxes if isinstance(box, ScoredBox3D)]
            tiles = []
            for index in around(sample.cameras):
                camera = sample.cameras[index]
                picture = annotate3d(
                    detections.pictures[place][index],
                    camera.project,
                    as_rows(boxes),
                    labels,
                    scores if number else None,
                    detections.listed.classes,
                    truth=truth if number else None,
                    width=_FILE,
                )
                tiles.append((camera.channel, picture))
            title = f"Sample {place + 1}, {case}"
            yield f"cameras-{place}-{number}.jpg", jpeg(montage(title, tiles, _COLUMNS), 85)
