"""Labelled images, their three splits, and the stratified draw that makes one split out of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lightloom.common.errors import RequestError


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images with one class each.

    Attributes:
        images: float32 [n, c, h, w], standardised or from 0 (black) to 1 (white).
        labels: int64 [n].

    Raises:
        RequestError: A shape or type is another one, or the two lengths differ.
    """

    images: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        _check(self.images, "images", torch.float32, rank=4)
        _check(self.labels, "labels", torch.int64, rank=1)
        if len(self.images) != len(self.labels):
            raise RequestError(
                f"There are {len(self.images)} images and {len(self.labels)} labels; give as many of both."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def inputs(self) -> Tensor:
        """What a network is given: the images."""
        return self.images

    @property
    def targets(self) -> Tensor:
        """What it is to answer: the labels."""
        return self.labels

    def to(self, device: torch.device) -> ImageSet:
        """The same images on a device."""
        return ImageSet(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class Splits:
    """A data set ready to train on.

    Attributes:
        train: What the network learns from.
        validation: What choices are made on.
        test: What is reported.
        classes: Class names; label i means `classes[i]`.
        name: The data set's name.
        mean: Per channel, of the training pixels before standardisation (0 is black, 1 is white); 0 where they
            were left as they are.
        std: Per channel, likewise; population standard deviation, or 1 where they were left.

    Raises:
        RequestError: A label has no class, or the splits differ in image shape.
    """

    train: ImageSet
    validation: ImageSet
    test: ImageSet
    classes: tuple[str, ...]
    name: str
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        _check_same_shape(self.name, self.train.images, self.validation.images, self.test.images)
        for part in (self.train, self.validation, self.test):
            if len(part) == 0:
                continue
            low, high = int(part.labels.min()), int(part.labels.max())
            if low < 0 or high >= len(self.classes):
                raise RequestError(
                    f"The labels of `{self.name}` run from {low} to {high}; "
                    f"its {len(self.classes)} classes allow 0 ... {len(self.classes) - 1}."
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one image: (channels, height, width)."""
        return tuple(self.train.images.shape[1:])


Pixels = tuple[Tensor, Tensor]
"""Images as read, any real type [n, c, h, w], with int64 labels [n]."""

Scale = Literal["standard", "unit"]
"""Mean 0 and standard deviation 1 in every channel, or black at 0 and white at 1: light has no negative brightness."""


def standardise(
    train: Pixels,
    validation: Pixels,
    test: Pixels,
    *,
    white: float,
    classes: tuple[str, ...],
    name: str,
    scale: Scale = "standard",
) -> Splits:
    """Splits with zero mean and unit standard deviation per channel, both measured on the training images.

    Args:
        train: Pixels [n, c, h, w] from 0 to `white`, and labels [n]; untouched, as the others are.
        validation: Likewise, of the same image shape.
        test: Likewise.
        white: The pixel value that stands for white: 255 for bytes.
        classes: Class names in the order of the labels.
        name: What to call the set.
        scale: `unit` only divides by `white`; mean 0 and deviation 1 are then recorded: nothing was taken away.

    Raises:
        RequestError: There is no training image, a channel is constant (and the scale is not `unit`), or shapes or
            labels do not fit.
    """
    images = _scaled(train[0], white)
    if images.ndim != 4 or images.numel() == 0:
        raise RequestError(
            f"`{name}` has training images of shape {tuple(images.shape)}; "
            "give at least one, as (images, channels, height, width)."
        )
    _check_same_shape(name, images, validation[0], test[0])
    if scale == "unit":
        mean, std = torch.zeros(images.shape[1]), torch.ones(images.shape[1])
    else:
        std, mean = torch.std_mean(images, dim=(0, 2, 3), correction=0)
    if not bool((std > 0).all()):
        raise RequestError(f"A channel of the {len(images)} training images of `{name}` is constant; use more.")

    def standardised(pixels: Tensor) -> Tensor:
        return pixels.sub_(mean[:, None, None]).div_(std[:, None, None])

    return Splits(
        train=ImageSet(standardised(images), train[1]),
        validation=ImageSet(standardised(_scaled(validation[0], white)), validation[1]),
        test=ImageSet(standardised(_scaled(test[0], white)), test[1]),
        classes=classes,
        name=name,
        mean=tuple(mean.tolist()),
        std=tuple(std.tolist()),
    )


def stratified_draw(labels: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two disjoint sets of indices with the class proportions of the whole.

    Every class is shuffled; its member of rank r (from 0) among n gets the key (r + 1/2) / n; the `count`
    smallest keys are drawn. The counts per class are then those of Webster's (Sainte-Lague) apportionment,
    and a larger draw from the same generator state contains every smaller one.

    Args:
        labels: int64 [n].
        count: How many to draw, 0 ... n.
        generator: Where the shuffle comes from.

    Returns:
        Ascending indices of the drawn [count] and of the rest [n - count].

    Raises:
        RequestError: `count` is out of range.
    """
    if not 0 <= count <= len(labels):
        raise RequestError(f"Cannot draw {count} of {len(labels)} images; give 0 ... {len(labels)}.")
    shuffled = torch.randperm(len(labels), generator=generator)
    keys = torch.empty(len(labels), dtype=torch.float64)
    for label in set(labels.tolist()):
        members = labels[shuffled] == label
        size = int(members.sum())
        keys[members] = (torch.arange(size, dtype=torch.float64) + 0.5) / size
    # A stable sort of shuffled indices breaks ties between classes at random rather than by class number.
    order = shuffled[torch.sort(keys, stable=True).indices]
    return order[:count].sort().values, order[count:].sort().values


def _scaled(pixels: Tensor, white: float) -> Tensor:
    return pixels.to(torch.float32, copy=True).div_(white)


def _check_same_shape(name: str, first: Tensor, *others: Tensor) -> None:
    for images in others:
        if images.shape[1:] != first.shape[1:]:
            raise RequestError(
                f"The splits of `{name}` hold images of different shapes, {tuple(first.shape[1:])} and "
                f"{tuple(images.shape[1:])}. Give them one (channels, height, width)."
            )


def _check(tensor: Tensor, what: str, dtype: torch.dtype, *, rank: int) -> None:
    if tensor.dtype != dtype or tensor.ndim != rank:
        raise RequestError(f"The {what} are {tensor.dtype} of rank {tensor.ndim}; they must be {dtype} of rank {rank}.")
