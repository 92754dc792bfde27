"""What a run that detects in space leaves of it: `detections3d.json`, `ground.safetensors` and `pr3d.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field, model_validator

from lightloom.common.errors import RequestError
from lightloom.report.readers.detection import Finite, Part, PrecisionCurve, read_picture
from lightloom.report.readers.hybrid import read_tensors
from lightloom.report.readers.schema_check import read_file

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_MOMENTS = 4
"""Moments that a page shows; pictures of others are not read."""
REACH = 2.0  # m between centres, within which an object counts as found
_GROUND, _HEATMAP = "ground", "heatmap"
_FLOOR = 0.1  # recall and precision that the average of nuScenes leaves out
Array = NDArray[np.float64]
Metres = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Row = tuple[Finite, Finite, Finite, Finite]


class Box3D(BaseModel):
    """One object in the ego frame: x forward, y left, z up, in m."""

    center: tuple[Finite, Finite, Finite]
    """Of gravity."""
    size: tuple[Metres, Metres, Metres]
    """Width, length, height."""
    yaw: Finite = 0.0
    """In rad from x to y; the length lies along x at 0."""
    velocity: tuple[Finite, Finite] | None = None
    """In m/s; None where it is not known."""
    label: int = Field(ge=0)


class Found3D(Box3D):
    """One object that a case says is there, and how sure it is."""

    score: Part


class Camera(BaseModel):
    """One camera at one moment: its picture, and where points of the ego frame are in it."""

    channel: str
    file: str
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    project: tuple[Row, Row, Row, Row]
    """From (x, y, z, 1) to (u d, v d, d, 1) with the pixel u, v and the depth d in m."""


class Moment(BaseModel):
    """All cameras at one moment: what is there, what each case finds, and where its queries look at last."""

    token: str = ""
    scene: str = ""
    cameras: list[Camera] = []
    truth: list[Box3D] = []
    cases: dict[str, list[Found3D]] = {}
    queries: dict[str, list[tuple[Finite, Finite, Part]]] = {}
    """x, y and score, by case."""


class Listed3D(BaseModel):
    """The whole of `detections3d.json`."""

    classes: list[str] = Field(min_length=1)
    area: tuple[Finite, Finite, Finite, Finite, Finite, Finite]
    """x0, y0, z0, x1, y1, z1 in the ego frame, in m: where the detectors look."""
    threshold: Part = 0.0
    """Least score of what is listed."""
    frames: list[Moment] = []

    @model_validator(mode="after")
    def _area_has_an_extent(self) -> Listed3D:
        x0, y0, z0, x1, y1, z1 = self.area
        if not (x0 < x1 and y0 < y1 and z0 < z1):
            raise ValueError(
                f"an area is `x0, y0, z0, x1, y1, z1` with each first below its second; found {list(self.area)}"
            )
        return self

    @model_validator(mode="after")
    def _labels_are_classes(self) -> Listed3D:
        for number, moment in enumerate(self.frames):
            for box in (*moment.truth, *(box for found in moment.cases.values() for box in found)):
                if box.label >= len(self.classes):
                    raise ValueError(f"label {box.label} in frame {number} is none of {len(self.classes)} classes")
        return self


@dataclass(frozen=True)
class Ground:
    """Maps of the ground of one moment, [rows, columns]: rows go along y, columns along x."""

    cases: Mapping[str, Array] = field(default_factory=dict)
    """How strong the features of each case are, over the channels."""
    heatmap: Array | None = None
    """Where a teacher is listened to."""


@dataclass(frozen=True)
class Detections3D:
    """What is listed, and of the moments that are shown the pictures, by camera, and the maps of the ground."""

    listed: Listed3D
    pictures: tuple[tuple[Image, ...], ...]
    ground: tuple[Ground, ...]

    @property
    def shown(self) -> list[Moment]:
        """The moments that a page shows."""
        return self.listed.frames[:MOST_MOMENTS]

    @property
    def cases(self) -> tuple[str, ...]:
        """Every case that looked at a moment, in order of appearance."""
        return tuple(dict.fromkeys(case for moment in self.listed.frames for case in moment.cases))


class Precision3D(PrecisionCurve):
    """Precision of one case over recall, for one class and one distance between centres."""

    distance: Metres
    """In m, below which a box counts as found."""

    @property
    def area(self) -> float:
        """Average precision as nuScenes has it: what lies above a precision of 0.1, beyond a recall of 0.1, of 1."""
        above = [
            max(precision - _FLOOR, 0.0)
            for recall, precision in zip(self.recall, self.precision, strict=True)
            if recall > _FLOOR + 1e-9
        ]
        return sum(above) / len(above) / (1 - _FLOOR) if above else 0.0


class _Precisions3D(BaseModel):
    """The whole of `pr3d.json`."""

    curves: list[Precision3D] = []


def read_detections3d(path: Path, ground: Path) -> Detections3D | None:
    """What was found at each moment, None where the file is absent.

    Args:
        path: Of `detections3d.json`.
        ground: Of the maps of the ground; it need not be there.

    Raises:
        RequestError: A file, or a picture that it names, cannot be read.
    """
    listed = read_file(path, Listed3D, None)
    if listed is None:
        return None
    pictures = tuple(
        tuple(read_picture(path, camera.file, (camera.width, camera.height)) for camera in moment.cameras)
        for moment in listed.frames[:MOST_MOMENTS]
    )
    return Detections3D(listed, pictures, _read_ground(ground, listed.frames))


def read_precisions3d(path: Path) -> tuple[Precision3D, ...]:
    """The curves in `pr3d.json`, none where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return tuple(read_file(path, _Precisions3D, _Precisions3D()).curves)


def _read_ground(path: Path, moments: list[Moment]) -> tuple[Ground, ...]:
    """The maps of each moment that is shown, none where the file is absent."""
    if not path.is_file():
        return (Ground(),) * min(len(moments), MOST_MOMENTS)
    # a moment goes by its place, or by its token
    places = {moment.token: place for place, moment in enumerate(moments)}
    places |= {str(place): place for place in range(len(moments))}
    cases: list[dict[str, Array]] = [{} for _ in moments]
    heatmaps: dict[int, Array] = {}
    for name, tensor in read_tensors(path)[0].items():
        before, _, kind = name.rpartition("/")
        case, slash, moment = before.rpartition("/") if kind == _GROUND else ("", "/", before)
        if kind not in (_GROUND, _HEATMAP) or not slash:
            raise _wrong(path, name, f"expected names like `CASE/FRAME/{_GROUND}` and `FRAME/{_HEATMAP}`")
        if moment not in places:
            raise _wrong(path, name, f"`{moment}` is neither the number nor the token of one of {len(moments)} frames")
        if tensor.ndim != 2 or not tensor.size or not np.isfinite(tensor).all():
            raise _wrong(path, name, f"it has the shape {list(tensor.shape)}; expected [rows, columns], all finite")
        if kind == _GROUND:
            cases[places[moment]][case] = tensor
        else:
            heatmaps[places[moment]] = tensor
    return tuple(Ground(found, heatmaps.get(place)) for place, found in enumerate(cases[:MOST_MOMENTS]))


def _wrong(path: Path, name: str, told: str) -> RequestError:
    return RequestError(f"`{path}` holds a tensor `{name}`: {told}. Make the file again, or remove it.")
