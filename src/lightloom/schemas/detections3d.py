"""What a network that detects in space finds at each sample: `detections3d.json` and `pr3d.json`."""

from __future__ import annotations

from pydantic import Field, model_validator

from lightloom.schemas.base import Finite, Length, Record, Share
from lightloom.schemas.detections import PrecisionCurve

_FLOOR = 0.1  # recall and precision that the average of nuScenes leaves out
Row = tuple[Finite, Finite, Finite, Finite]


class Box3D(Record):
    """One object in the ego frame: x forward, y left, z up, in m."""

    center: tuple[Finite, Finite, Finite]
    """Centre in m."""
    size: tuple[Length, Length, Length]
    """Width, length and height in m."""
    yaw: Finite = 0.0
    """Heading in rad from x to y; the length lies along x at 0."""
    velocity: tuple[Finite, Finite] | None = None
    """Velocity along x and y in m/s, None where it is not known."""
    label: int = Field(ge=0)
    """Place of its class in the list of classes."""


class ScoredBox3D(Box3D):
    """One object that a case says is there, and how sure it is."""

    score: Share
    """Score of the detection, 0 ... 1."""


class CameraImage(Record):
    """One camera at one sample: its picture, and where points of the ego frame are in it."""

    channel: str
    """Name of the camera."""
    file: str
    """Picture in the run folder."""
    width: int = Field(gt=0)
    """Width of the picture in px."""
    height: int = Field(gt=0)
    """Height of the picture in px."""
    project: tuple[Row, Row, Row, Row]
    """Matrix from (x, y, z, 1) to (u d, v d, d, 1) with the pixel u, v and the depth d in m."""


class DetectedSample(Record):
    """All cameras at one sample: what is there, what each case finds, and where its queries look at last."""

    token: str = ""
    """Token of the sample."""
    scene: str = ""
    """Name of its scene."""
    cameras: list[CameraImage] = []
    """The pictures of all cameras."""
    truth: list[Box3D] = []
    """Objects that are there."""
    cases: dict[str, list[ScoredBox3D]] = {}
    """Detections by case."""
    queries: dict[str, list[tuple[Finite, Finite, Share]]] = {}
    """Best queries by case: x and y in m, and score."""


class DetectionFile3D(Record):
    """The whole of `detections3d.json`."""

    classes: list[str] = Field(min_length=1)
    """Names of the classes."""
    area: tuple[Finite, Finite, Finite, Finite, Finite, Finite]
    """Range x0, y0, z0, x1, y1, z1 in the ego frame, in m, in which the detectors look."""
    threshold: Share = 0.0
    """Least score of a detection that is listed."""
    frames: list[DetectedSample] = []
    """The samples that are shown."""

    @model_validator(mode="after")
    def _area_has_an_extent(self) -> DetectionFile3D:
        x0, y0, z0, x1, y1, z1 = self.area
        if not (x0 < x1 and y0 < y1 and z0 < z1):
            raise ValueError(
                f"an area is `x0, y0, z0, x1, y1, z1` with each first below its second; found {list(self.area)}"
            )
        return self

    @model_validator(mode="after")
    def _labels_are_classes(self) -> DetectionFile3D:
        for number, sample in enumerate(self.frames):
            for box in (*sample.truth, *(box for boxes in sample.cases.values() for box in boxes)):
                if box.label >= len(self.classes):
                    raise ValueError(f"label {box.label} in frame {number} is none of {len(self.classes)} classes")
        return self


class SpacePrecision(PrecisionCurve):
    """Precision of one case over recall, for one class and one distance between centres."""

    distance: Length
    """Distance in m below which a box counts as found."""

    @property
    def area(self) -> float:
        """Average precision as nuScenes has it: what lies above a precision of 0.1, beyond a recall of 0.1, of 1."""
        above = [
            max(precision - _FLOOR, 0.0)
            for recall, precision in zip(self.recall, self.precision, strict=True)
            if recall > _FLOOR + 1e-9
        ]
        return sum(above) / len(above) / (1 - _FLOOR) if above else 0.0


class PrecisionFile3D(Record):
    """The whole of `pr3d.json`."""

    curves: list[SpacePrecision] = []
    """A curve for each case, class and distance."""
