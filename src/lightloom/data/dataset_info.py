"""Shape, sizes, classes, source, licence and mirror of each classification set, from `datasets.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal

from lightloom.common.errors import RequestError, nearest

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
IDX_NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)


@dataclass(frozen=True, kw_only=True)
class Mirror:
    """A public folder that serves the files of a set.

    Attributes:
        url: The folder, with its last slash.
        md5: Hexadecimal MD5 of each file by its name; IDX files are served in gzip and named without `.gz` here.
    """

    url: str
    md5: Mapping[str, str]


Form = Literal["embedded", "idx", "transposed idx", "cifar", "svhn", "class folders", "packed folders"]
"""How a set is stored, which decides who reads it."""


@dataclass(frozen=True, kw_only=True)
class DatasetInfo:
    """One data set in words and numbers.

    Attributes:
        name: What `load` calls it.
        title: What the literature calls it.
        shape: Of one image: (channels, height, width).
        classes: Class names in the order of the labels; empty where the folders of the set name them.
        train_and_validation: Images that `load` divides into training and validation.
        test: Images of the test split.
        validation: Images that go to validation unless told otherwise.
        source: Where it comes from.
        licence: On what terms.
        form: How it is stored.
        mirror: Where its files are served with a checksum that is known; None where the user must bring them.
        folders: Number of classes where `classes` is empty.
        files: Names of its IDX files, without `.gz`: images and labels to learn from, then those of the test.
    """

    name: str
    title: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    train_and_validation: int
    test: int
    validation: int
    source: str
    licence: str
    form: Form = "idx"
    mirror: Mirror | None = None
    folders: int = 0
    files: tuple[str, str, str, str] = IDX_NAMES

    @property
    def class_count(self) -> int:
        """How many classes there are."""
        return len(self.classes) or self.folders


def _read(name: str, record: dict[str, Any]) -> DatasetInfo:
    """One table of `datasets.toml`; class names without spaces stand in one string there."""
    classes, mirror = record.pop("classes", ()), record.pop("mirror", None)
    return DatasetInfo(
        name=name,
        shape=tuple(record.pop("shape")),
        classes=tuple(classes.split() if isinstance(classes, str) else classes),
        mirror=None if mirror is None else Mirror(url=mirror["url"], md5=MappingProxyType(mirror["md5"])),
        files=tuple(record.pop("files", IDX_NAMES)),
        **record,
    )


_TABLES = tomllib.loads(resources.files("lightloom.data").joinpath("datasets.toml").read_text(encoding="utf-8"))
_INFOS = tuple(_read(name, record) for name, record in _TABLES.items())

DATASETS: tuple[str, ...] = tuple(info.name for info in _INFOS)
"""The names that `load` and `describe` know."""


def describe(name: str) -> DatasetInfo:
    """Shape, sizes, classes, source and licence of a data set. Raises `RequestError` for an unknown name."""
    for info in _INFOS:
        if info.name == name:
            return info
    raise RequestError(f"There is no data set `{name}`. {nearest(name, DATASETS)}")
