"""Classification sets held whole in memory: read, checked, split, standardised."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_generator
from lightloom.data.cifar import read_cifar
from lightloom.data.dataset_info import DatasetInfo, describe
from lightloom.data.files import IdxFiles, find_files, given_folder, local_files, required_folder
from lightloom.data.folders import read_class_folders, read_packed_folders
from lightloom.data.idx import read_labelled
from lightloom.data.splits import Pixels, Scale, Splits, standardise, stratified_draw
from lightloom.data.svhn import read_svhn

_BYTE_WHITE = 255.0
_DIGITS_WHITE = 16.0
_SLICE = 4096  # images resized at once
_DIGITS_TEST_SEED = 0  # the test images are the same in every run, so it is no argument


def load(
    name: str,
    root: Path | None = None,
    *,
    validation: int | None = None,
    seed: int = 0,
    limit: int | None = None,
    size: int | None = None,
    pixels: Scale = "standard",
) -> Splits:
    """A data set, split and standardised by the mean and standard deviation of its training images.

    `digits` is embedded: a fixed stratified fifth of it is the test split. The others are files with their standard
    test split, found as `lightloom.data.files.find_files` says. Validation images are drawn from the rest, stratified
    by class. The result is held in memory as float32, 4 bytes per number: 0.7 GB for the 60,000 images of CIFAR.

    Args:
        name: One of `DATASETS`.
        root: Folder that holds the sets' folders (`mnist/`, ...); else `LIGHTLOOM_DATA`, else a download.
        validation: Number of validation images; by default 180 for `digits` and 5000 for the others.
        seed: Draws which images go to validation and which a `limit` keeps; never touches the test split.
        limit: Keep at most so many training images, stratified; a larger limit keeps those of a smaller one.
        size: Resize the images to so many pixels on each side, bilinear and antialiased; None leaves them.
        pixels: `unit` leaves them at 0 (black) ... 1 (white) in the place of standardising them.

    Raises:
        RequestError: The name is unknown, a number is out of range, or a file is missing or unfit.
        WorkError: A download failed.
    """
    info = describe(name)
    if limit is not None and limit < 1:
        raise RequestError(f"`limit` is {limit}; keep at least 1 training image.")
    if size is not None and size < 1:
        raise RequestError(f"`size` is {size}; give at least 1 pixel.")
    held_back = info.validation if validation is None else validation
    if not 1 <= held_back < info.train_and_validation:
        raise RequestError(
            f"`validation` is {held_back}; `{name}` has {info.train_and_validation} images to divide into training and "
            f"validation: give 1 ... {info.train_and_validation - 1}."
        )
    learning, test, classes = _read(info, root)
    validating, rest = _divide(learning, held_back, named_generator(seed, "data", name, "validation"))
    if limit is not None and limit < len(rest[1]):
        rest, _ = _divide(rest, limit, named_generator(seed, "data", name, "limit"))
    if size is not None:
        rest, validating, test = (_resized(part, size) for part in (rest, validating, test))
    white = _DIGITS_WHITE if info.form == "embedded" else _BYTE_WHITE
    return standardise(rest, validating, test, white=white, classes=classes, name=name, scale=pixels)


def _read(info: DatasetInfo, root: Path | None) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    """Learning images, test images and class names, by the reader of the set's form."""
    if info.form == "class folders":
        return read_class_folders(info, root)
    if info.form == "packed folders":
        return (*read_packed_folders(info, root), info.classes)
    if info.form == "cifar":
        return (*read_cifar(info, root), info.classes)
    if info.form == "svhn":
        return (*read_svhn(info, root), info.classes)
    if info.form == "embedded":
        return (*_digits(info), info.classes)
    if info.mirror is not None:
        return (*read_files(info, find_files(info.name, info.mirror, root)), info.classes)
    folder = given_folder(info.name, root) or required_folder(info, root)
    return (*read_files(info, local_files(folder, info.files, served=False)), info.classes)


def read_files(info: DatasetInfo, files: IdxFiles) -> tuple[Pixels, Pixels]:
    """The learning and the test images of a set from its IDX files, checked against its info.

    Args:
        info: What is known of the set.
        files: Its four files.

    Returns:
        uint8 images [n, 1, h, w] with int64 labels [n], twice.

    Raises:
        RequestError: A file is damaged, or its images differ from the info's in number or size.
    """
    return (
        _read_part(info, files.train_images, files.train_labels, info.train_and_validation),
        _read_part(info, files.test_images, files.test_labels, info.test),
    )


def _read_part(info: DatasetInfo, images_path: Path, labels_path: Path, count: int) -> Pixels:
    images, labels = read_labelled(images_path, labels_path, classes=len(info.classes))
    expected = (count, *info.shape[1:])
    if tuple(images.shape) != expected:
        raise RequestError(
            f"`{images_path}` holds images of shape {tuple(images.shape)}; {info.title} has {expected} here. "
            "Is it the file of another data set or split?"
        )
    if info.form == "transposed idx":
        images = images.transpose(1, 2).contiguous()
    return images[:, None], labels


def _digits(info: DatasetInfo) -> tuple[Pixels, Pixels]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = torch.from_numpy(bunch.images)[:, None]
    labels = torch.from_numpy(bunch.target).to(torch.int64)
    test, learning = _divide((pixels, labels), info.test, named_generator(_DIGITS_TEST_SEED, "data", info.name, "test"))
    return learning, test


def _divide(pixels: Pixels, count: int, generator: torch.Generator) -> tuple[Pixels, Pixels]:
    """`count` stratified images, and the rest, both in the order of the file."""

    def taken(indices: Tensor) -> Pixels:
        return pixels[0][indices], pixels[1][indices]

    selected, rest = stratified_draw(pixels[1], count, generator)
    return taken(selected), taken(rest)


def _resized(pixels: Pixels, size: int) -> Pixels:
    """Images of size x size, float32, in slices so that no second whole copy is made."""
    images, labels = pixels
    resized = torch.empty(len(images), images.shape[1], size, size)
    for start in range(0, len(images), _SLICE):
        part = images[start : start + _SLICE].to(torch.float32)
        resized[start : start + _SLICE] = F.interpolate(part, (size, size), mode="bilinear", antialias=True)
    return resized, labels
