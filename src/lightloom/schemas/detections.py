"""What a network that detects finds in images: `detections.json` and `pr.json`."""

from __future__ import annotations

from itertools import pairwise

from pydantic import Field, model_validator

from lightloom.schemas.base import Finite, Record, Share

ALL_CLASSES = "all"
"""The class of a curve that is the mean over all classes."""


class Box(Record):
    """One object: where it is and of which class."""

    box: tuple[Finite, Finite, Finite, Finite]
    """Edges `x0, y0, x1, y1` in px of the picture."""
    label: int = Field(ge=0)
    """Place of its class in the list of classes."""

    @model_validator(mode="after")
    def _has_an_extent(self) -> Box:
        if self.box[2] < self.box[0] or self.box[3] < self.box[1]:
            raise ValueError(f"a box is `x0, y0, x1, y1` with x0 <= x1 and y0 <= y1; found {list(self.box)}")
        return self


class ScoredBox(Box):
    """One object that a case says is there, and how sure it is."""

    score: Share
    """Score of the detection, 0 ... 1."""


class DetectedImage(Record):
    """One image of the test set: what is in it, and what each case finds."""

    file: str
    """Picture in the run folder."""
    key: str = ""
    """Name of the image in its set."""
    width: int = Field(gt=0)
    """Width of the picture in px."""
    height: int = Field(gt=0)
    """Height of the picture in px."""
    truth: list[Box] = []
    """Objects that are there."""
    cases: dict[str, list[ScoredBox]] = {}
    """Detections by case."""


class DetectionFile(Record):
    """The whole of `detections.json`."""

    classes: list[str] = Field(min_length=1)
    """Names of the classes."""
    threshold: Share = 0.0
    """Least score of a detection that is listed."""
    images: list[DetectedImage] = []
    """The images that are shown."""

    @model_validator(mode="after")
    def _labels_are_classes(self) -> DetectionFile:
        for image in self.images:
            for box in (*image.truth, *(box for boxes in image.cases.values() for box in boxes)):
                if box.label >= len(self.classes):
                    raise ValueError(f"label {box.label} in `{image.file}` is none of {len(self.classes)} classes")
        return self


class PrecisionCurve(Record):
    """Precision of one case over recall, for one class or for all."""

    case: str
    """Name of the case."""
    of: str = Field(ALL_CLASSES, alias="class")
    """Name of the class, or `all`; the file calls it `class`."""
    recall: list[Share] = Field(min_length=2)
    """Recall at each point, ascending."""
    precision: list[Share]
    """Precision at each point."""

    @model_validator(mode="after")
    def _is_a_function(self) -> PrecisionCurve:
        if len(self.recall) != len(self.precision):
            raise ValueError(f"{len(self.recall)} values of recall have {len(self.precision)} of precision")
        if any(after < before for before, after in pairwise(self.recall)):
            raise ValueError("recall ascends along a curve; found one that does not")
        return self

    @property
    def area(self) -> float:
        """Mean precision over the points: average precision."""
        return sum(self.precision) / len(self.precision)


class ImagePrecision(PrecisionCurve):
    """Precision over recall of boxes in images."""

    iou: Share = 0.5
    """Overlap from which a box counts as found."""


class PrecisionFile(Record):
    """The whole of `pr.json`."""

    curves: list[ImagePrecision] = []
    """A curve for each case, class and overlap."""
