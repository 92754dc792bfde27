"""What a run that detects leaves of its detections: `detections.json` with its pictures, and `pr.json`."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import BaseModel, Field, model_validator

from lightloom.common.errors import RequestError
from lightloom.report.readers.schema_check import read_file

if TYPE_CHECKING:
    from PIL.Image import Image

Finite = Annotated[float, Field(allow_inf_nan=False)]
Part = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_ALL = "all"


class Box(BaseModel):
    """One object: where it is and of which class."""

    box: tuple[Finite, Finite, Finite, Finite]
    """`x0, y0, x1, y1` in px of the picture."""
    label: int = Field(ge=0)

    @model_validator(mode="after")
    def _has_an_extent(self) -> Box:
        if self.box[2] < self.box[0] or self.box[3] < self.box[1]:
            raise ValueError(f"a box is `x0, y0, x1, y1` with x0 <= x1 and y0 <= y1; found {list(self.box)}")
        return self


class Found(Box):
    """One object that a case says is there, and how sure it is."""

    score: Part


class Pictured(BaseModel):
    """One image of the test set: what is in it, and what each case finds."""

    file: str
    key: str = ""
    width: int = Field(gt=0)
    height: int = Field(gt=0)
    truth: list[Box] = []
    cases: dict[str, list[Found]] = {}


class Listed(BaseModel):
    """The whole of `detections.json`."""

    classes: list[str] = Field(min_length=1)
    threshold: Part = 0.0
    """Least score of what is listed."""
    images: list[Pictured] = []

    @model_validator(mode="after")
    def _labels_are_classes(self) -> Listed:
        for image in self.images:
            for box in (*image.truth, *(box for found in image.cases.values() for box in found)):
                if box.label >= len(self.classes):
                    raise ValueError(f"label {box.label} in `{image.file}` is none of {len(self.classes)} classes")
        return self


class Detections(NamedTuple):
    """What is listed, and the picture of each image in it."""

    listed: Listed
    pictures: tuple[Image, ...]

    @property
    def cases(self) -> tuple[str, ...]:
        """Every case that looked at an image, in order of appearance."""
        return tuple(dict.fromkeys(case for image in self.listed.images for case in image.cases))


class PrecisionCurve(BaseModel):
    """Precision of one case over recall, for one class or for all."""

    case: str
    of: str = Field(_ALL, alias="class")
    recall: list[Part] = Field(min_length=2)
    precision: list[Part]

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


class Precision(PrecisionCurve):
    """Such a curve of boxes in an image."""

    iou: Part = 0.5
    """Overlap from which a box counts as found."""


class _Precisions(BaseModel):
    """The whole of `pr.json`."""

    curves: list[Precision] = []


def read_detections(path: Path) -> Detections | None:
    """What was found in each picture, None where the file is absent.

    Raises:
        RequestError: The file or a picture that it names cannot be read.
    """
    listed = read_file(path, Listed, None)
    if listed is None:
        return None
    return Detections(
        listed, tuple(read_picture(path, image.file, (image.width, image.height)) for image in listed.images)
    )


def read_precisions(path: Path) -> tuple[Precision, ...]:
    """The curves in `pr.json`, none where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return tuple(read_file(path, _Precisions, _Precisions()).curves)


def read_picture(path: Path, name: str, stated: tuple[int, int]) -> Image:
    """The picture that a list in a run folder names; nothing outside that folder is opened.

    Args:
        path: Of the list.
        name: Of the picture, from the folder of the list.
        stated: Width and height in px that the list gives it.

    Raises:
        RequestError: It is outside the folder, missing, no picture, or of another size.
    """
    from PIL import Image as pil

    folder, file = path.parent.resolve(), (path.parent / name).resolve()
    if not file.is_relative_to(folder):
        raise RequestError(f"`{path}` names the picture `{name}`, which is outside the run folder.")
    if not file.is_file():
        raise RequestError(f"`{path}` names the picture `{name}`, which is missing. Put it back, or remove both.")
    try:
        with pil.open(file) as opened:
            if opened.size == stated:
                return opened.convert("RGB")
            size = opened.size
    except (OSError, SyntaxError, ValueError, pil.DecompressionBombError) as error:
        told = " ".join(str(error).split())
        raise RequestError(f"`{file}`, which `{path.name}` names, is no picture that can be read: {told}.") from None
    raise RequestError(
        f"`{file}` is {size[0]} x {size[1]} px; `{path.name}` says {stated[0]} x {stated[1]}, "
        "so its boxes would lie elsewhere."
    )
