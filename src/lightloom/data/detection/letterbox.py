"""Letterboxing: images of any size in one frame, in memory where they fit, with their boxes as padded targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightloom.common.errors import RequestError, WorkError
from lightloom.data.detection.pictures import UNREADABLE, read_picture, turn, turned_size
from lightloom.data.detection.records import DetectionSet, Record
from lightloom.data.detection.threads import in_threads

GRAY = (124, 116, 104)
"""What lies outside an image: the mean of ImageNet's pixels, so that it is 0 once standardised as usual."""

MOST_IN_MEMORY = 1_500_000_000
"""Bytes of letterboxed images that a set holds; a larger one decodes them when they are asked for."""


class LazyImages:
    """Letterboxed images that are decoded each time they are asked for.

    Args:
        records: What to read.
        height: Of the frame.
        width: Likewise.
        device: Where the decoded images go.
    """

    dtype = torch.uint8

    def __init__(self, records: Sequence[Record], height: int, width: int, device: torch.device | None = None) -> None:
        self._records, self._height, self._width = records, height, width
        self.device = device or torch.device("cpu")

    def __len__(self) -> int:
        return len(self._records)

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(images, 3, height, width)."""
        return len(self), 3, self._height, self._width

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Decode some images, in threads.

        Args:
            index: int64 [k] on any device, or a slice.

        Returns:
            uint8 [k, 3, H, W] on `device`.

        Raises:
            WorkError: A file cannot be decoded.
        """
        numbers = range(len(self))[index] if isinstance(index, slice) else index.tolist()
        return decoded([self._records[i] for i in numbers], self._height, self._width, None).to(self.device)

    def to(self, device: torch.device) -> LazyImages:
        """The same images, to be delivered on a device."""
        return LazyImages(self._records, self._height, self._width, device)


@dataclass(frozen=True, eq=False)
class LetterboxedSet:
    """What a detector trains on: images of one size and padded targets.

    Attributes:
        images: uint8 [n, 3, H, W], RGB, held in memory or decoded when indexed.
        labels: float32 [n, most, 5]: x0, y0, x1, y1 in pixels of the frame, and the label; -1 where there is no box.
            Crowds and difficult objects are left out.
        scales: float32 [n]: pixels of the frame per pixel of the image.
        source: Where they come from.
    """

    images: Tensor | LazyImages
    labels: Tensor
    scales: Tensor
    source: DetectionSet

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def inputs(self) -> Tensor | LazyImages:
        """What a network is given: the images."""
        return self.images

    @property
    def targets(self) -> Tensor:
        """What it is to answer: the labels."""
        return self.labels

    def to(self, device: torch.device) -> LetterboxedSet:
        """The same set on a device."""
        return LetterboxedSet(self.images.to(device), self.labels.to(device), self.scales.to(device), self.source)


def letterbox(source: DetectionSet, height: int, width: int, *, memory: bool | None = None) -> LetterboxedSet:
    """Bring every image into a frame of `height` x `width`.

    An image keeps its ratio of sides: it is resized (bilinear, antialiased) to the largest size that fits, put into
    the top left corner, and the rest is `GRAY`. It is turned as its record says, and where the file holds more than
    8 bits, the record's `white` becomes 255.

    Args:
        source: Images and boxes.
        height: Pixels.
        width: Pixels.
        memory: Hold the images in memory, or decode them when indexed; by default held up to 1.5 GB.

    Raises:
        RequestError: The set is empty or the frame has no area.
        WorkError: A file cannot be decoded; it is named.
    """
    if len(source) == 0:
        raise RequestError(f"`{source.name}` has no image to letterbox; give at least one.")
    if min(height, width) < 1:
        raise RequestError(f"The frame is {height} x {width}; give at least 1 x 1 pixel.")
    records = source.records
    scales = torch.tensor([_scale(record, height, width) for record in records])
    in_memory = memory if memory is not None else len(records) * 3 * height * width <= MOST_IN_MEMORY
    images = decoded(records, height, width, "Reading images") if in_memory else LazyImages(records, height, width)
    return LetterboxedSet(images, _targets(records, scales), scales, source)


def letterbox_image(record: Record, height: int, width: int) -> Tensor:
    """One letterboxed image, uint8 [3, H, W].

    Args:
        record: The image.
        height: Height of the frame in pixels.
        width: Width of the frame in pixels.

    Raises:
        WorkError: The file cannot be decoded.
    """
    scale = _scale(record, height, width)
    size = (_side(record.width * scale, width), _side(record.height * scale, height))
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = GRAY
    canvas[: size[1], : size[0]] = np.asarray(_picture(record, size).resize(size, Image.Resampling.BILINEAR))
    return torch.from_numpy(canvas).permute(2, 0, 1)


def read_pixels(record: Record) -> Tensor:
    """One image as its record turns it, uint8 [3, h, w]. Raises `WorkError` where the file cannot be decoded."""
    return torch.from_numpy(np.array(_picture(record, None))).permute(2, 0, 1).contiguous()


def _picture(record: Record, size: tuple[int, int] | None) -> Image.Image:
    """The image in RGB, turned; of a JPEG, at least twice the size."""
    if record.pixels is not None:
        return Image.fromarray(record.pixels.permute(1, 2, 0).contiguous().numpy())
    stored = turned_size((record.width, record.height), record.orientation)
    try:
        with Image.open(record.image) as image:
            file_size = image.size
        if file_size == stored:
            turned = None if size is None else turned_size(size, record.orientation)
            return turn(read_picture(record.image, white=record.white, least_size=turned), record.orientation)
    except UNREADABLE as error:
        raise WorkError(
            f"Cannot decode the image `{record.image}`: {str(error) or type(error).__name__}. Replace it; in a set, "
            "`data.decode=true` leaves such images out."
        ) from error
    raise WorkError(
        f"`{record.image}` is {file_size[0]} x {file_size[1]} and was {stored[0]} x {stored[1]} when the set was read; "
        "read the set again."
    )


def decoded(records: Sequence[Record], height: int, width: int, label: str | None) -> Tensor:
    """Letterboxed images, uint8 [k, 3, H, W], decoded in threads.

    Args:
        records: What to read.
        height: Of the frame.
        width: Likewise.
        label: Of the progress bar; None shows none.

    Raises:
        WorkError: A file cannot be decoded; it is named.
    """
    images = torch.empty(len(records), 3, height, width, dtype=torch.uint8)

    def fill(place: int) -> None:
        images[place] = letterbox_image(records[place], height, width)

    for _ in in_threads(fill, range(len(records)), label):
        pass
    return images


def _scale(record: Record, height: int, width: int) -> float:
    return min(height / record.height, width / record.width)


def _side(exact: float, most: int) -> int:
    return min(max(round(exact), 1), most)


def _targets(records: Sequence[Record], scales: Tensor) -> Tensor:
    masks = [record.targets for record in records]
    most = max(1, *(int(mask.sum()) for mask in masks))
    targets = torch.zeros(len(records), most, 5)
    targets[..., 4] = -1
    for row, record, mask, scale in zip(targets, records, masks, scales, strict=True):
        count = int(mask.sum())
        row[:count, :4] = record.boxes[mask] * scale
        row[:count, 4] = record.labels[mask].float()
    return targets
