"""Images with boxes: what every reader gives, whatever the files looked like."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lightloom.common.errors import RequestError

OnInvalid = Literal["skip", "any", "fail"]
"""What a reader does with a flaw: `skip` mends or drops it and notes a `Problem`, and refuses a split that loses more
of its boxes or images than it keeps; `any` takes what is left, however little; `fail` raises `RequestError` at once."""


class Problem(NamedTuple):
    """One flaw that was met while reading.

    Attributes:
        kind: `zero area`, `out of image`, `duplicate box`, `missing image`, `damaged image`, `unknown class`, ...
        where: File name, with the annotation's id or number where there is one.
        what: What was found.
        done: `dropped`, `clipped`, `kept`, `mended` or `renumbered`.
    """

    kind: str
    where: str
    what: str
    done: str


@dataclass(frozen=True, eq=False)
class Record:
    """One image and its boxes.

    Attributes:
        image: Its file; where `pixels` are given, only a name.
        image_id: From 1, unique in its set.
        key: The image's own id in the files it came from, or its file name without ending.
        width: Pixels, of the image as `orientation` turns it.
        height: Likewise.
        boxes: float32 [n, 4]: x0, y0, x1, y1 in pixels, far edges exclusive.
        labels: int64 [n], from 0.
        crowd: bool [n]: a region that is neither a target nor counted as missed.
        area: float32 [n], square pixels, as the annotations state it (COCO: that of the outline); None is the boxes'.
        pixels: uint8 [3, height, width] where the image is no file.
        difficult: bool [n]: an object that is neither a target nor counted, whether it is found or missed, as PASCAL
            VOC has it; None where there is none.
        orientation: Value of the EXIF tag by which the stored pixels are turned, 1 ... 8; 1 leaves them.
        white: Value that is shown as white where the file holds more than 8 bits; None takes the bit depth that holds
            the brightest pixel of this image alone, and logs it.

    Raises:
        RequestError: A tensor has another type or length, or the image no size.
    """

    image: Path
    image_id: int
    key: str
    width: int
    height: int
    boxes: Tensor
    labels: Tensor
    crowd: Tensor
    area: Tensor | None = None
    pixels: Tensor | None = None
    difficult: Tensor | None = None
    orientation: int = 1
    white: float | None = None

    def __post_init__(self) -> None:
        count = len(self.labels)
        expected: dict[str, tuple[Tensor | None, torch.dtype, tuple[int, ...]]] = {
            "boxes": (self.boxes, torch.float32, (count, 4)),
            "labels": (self.labels, torch.int64, (count,)),
            "crowd": (self.crowd, torch.bool, (count,)),
            "area": (self.area, torch.float32, (count,)),
            "difficult": (self.difficult, torch.bool, (count,)),
            "pixels": (self.pixels, torch.uint8, (3, self.height, self.width)),
        }
        for name, (tensor, dtype, shape) in expected.items():
            if tensor is not None and (tensor.dtype != dtype or tuple(tensor.shape) != shape):
                raise RequestError(
                    f"`{name}` of the image `{self.key}` is {tensor.dtype} {tuple(tensor.shape)}; give {dtype} {shape}."
                )
        if min(self.width, self.height) < 1:
            raise RequestError(f"The image `{self.key}` is {self.width} x {self.height}; give at least 1 x 1 pixel.")

    @property
    def areas(self) -> Tensor:
        """float32 [n], square pixels: as stated, or of the boxes."""
        return self.area if self.area is not None else (self.boxes[:, 2:] - self.boxes[:, :2]).prod(1)

    @property
    def ignored(self) -> Tensor:
        """Bool [n]: `difficult`, all False where that is None."""
        return self.difficult if self.difficult is not None else torch.zeros_like(self.crowd)

    @property
    def targets(self) -> Tensor:
        """Bool [n]: what is to be found, neither a crowd nor difficult."""
        return ~(self.crowd | self.ignored)


@dataclass(frozen=True, eq=False)
class DetectionSet:
    """Images with boxes of known classes.

    Attributes:
        name: What to call it.
        classes: Class names; label i means `classes[i]`.
        records: The images.
        problems: What was wrong with the files.

    Raises:
        RequestError: Two images have the same `image_id`, or a label has no class.
    """

    name: str
    classes: tuple[str, ...]
    records: tuple[Record, ...]
    problems: tuple[Problem, ...] = ()

    def __post_init__(self) -> None:
        ids = {record.image_id for record in self.records}
        if len(ids) < len(self.records):
            raise RequestError(f"{len(self.records)} images of `{self.name}` share {len(ids)} ids; give each its own.")
        for record in self.records:
            if len(record.labels) and not 0 <= int(record.labels.min()) <= int(record.labels.max()) < len(self.classes):
                raise RequestError(
                    f"The labels of the image `{record.key}` run from {int(record.labels.min())} to "
                    f"{int(record.labels.max())}; the {len(self.classes)} classes of `{self.name}` allow "
                    f"0 ... {len(self.classes) - 1}."
                )

    def __len__(self) -> int:
        return len(self.records)

    @property
    def box_count(self) -> int:
        """Boxes of all images, crowds and difficult ones among them."""
        return sum(len(record.labels) for record in self.records)

    def subset(self, indices: Iterable[int]) -> DetectionSet:
        """The images at these positions, in this order, with the ids that they have; the problems stay with the whole.

        Raises:
            RequestError: There is no such position, or one is given twice.
        """
        numbers = [int(index) for index in indices]
        for index in numbers:
            if not 0 <= index < len(self.records):
                raise RequestError(f"`{self.name}` has no image {index}; give 0 ... {len(self.records) - 1}.")
        return replace(self, records=tuple(self.records[index] for index in numbers), problems=())

    def coco(self) -> dict[str, Any]:
        """The set in the form of a COCO json file: category ids are the labels, annotation ids count from 1.

        A difficult object has `ignore: 1`.
        """
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for record in self.records:
            images.append(
                {
                    "id": record.image_id,
                    "file_name": record.image.name,
                    "width": record.width,
                    "height": record.height,
                }
            )
            rows = zip(
                record.boxes.tolist(),
                record.labels.tolist(),
                record.crowd.tolist(),
                record.areas.tolist(),
                record.ignored.tolist(),
                strict=True,
            )
            for (x0, y0, x1, y1), label, crowd, area, difficult in rows:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": record.image_id,
                        "category_id": label,
                        "bbox": [x0, y0, x1 - x0, y1 - y0],
                        "area": area,
                        "iscrowd": int(crowd),
                        **({"ignore": 1} if difficult else {}),
                    }
                )
        categories = [{"id": label, "name": name} for label, name in enumerate(self.classes)]
        return {"images": images, "annotations": annotations, "categories": categories}


@dataclass(frozen=True, eq=False)
class DetectionSplits:
    """A detection set ready to be framed.

    Attributes:
        name: The set's name.
        classes: Class names in the order of the labels, the same in each split.
        train: What the network learns from.
        validation: What choices are made on.
        test: What is reported.

    Raises:
        RequestError: The splits differ in their classes.
    """

    name: str
    classes: tuple[str, ...]
    train: DetectionSet
    validation: DetectionSet
    test: DetectionSet

    def __post_init__(self) -> None:
        for part in (self.train, self.validation, self.test):
            if part.classes != self.classes:
                raise RequestError(
                    f"The class list does not match: `{self.name}` has {_listed(self.classes)}, its part "
                    f"`{part.name}` {_listed(part.classes)}. Give every split the same classes in the same order."
                )

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Problems of all three splits."""
        return self.train.problems + self.validation.problems + self.test.problems


def _listed(classes: tuple[str, ...], most: int = 6) -> str:
    named = ", ".join(f"`{name}`" for name in classes[:most])
    return f"{named}, ... ({len(classes)})" if len(classes) > most else f"{named} ({len(classes)})"
