"""The binary format of CIFAR-10 and CIFAR-100: one record per image, its labels first, then its three planes.

CIFAR-10: one byte of label; CIFAR-100: a coarse label, then the fine one, which is taken. Then 1024 bytes of red,
green and blue each, row by row.
Source: A. Krizhevsky, "The CIFAR-10 dataset", section "Binary version".
"""

from __future__ import annotations

import math
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.data.dataset_info import DatasetInfo
from lightloom.data.files import contents, find_file, given_folder, put_there
from lightloom.data.packed import unpacked
from lightloom.data.splits import Pixels


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a set of the format is divided into files.

    Attributes:
        folder: Of the files, in the archive and where the user unpacked it.
        archive: Name of the official archive.
        learning: Files with equal parts of the images to learn from.
        test: The file with the test images.
        labels: Classes of each label byte, in order; the last label is taken.
    """

    folder: str
    archive: str
    learning: tuple[str, ...]
    test: str
    labels: tuple[int, ...]


LAYOUTS = {
    "cifar10": Layout(
        folder="cifar-10-batches-bin",
        archive="cifar-10-binary.tar.gz",
        learning=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test="test_batch.bin",
        labels=(10,),
    ),
    "cifar100": Layout(
        folder="cifar-100-binary",
        archive="cifar-100-binary.tar.gz",
        learning=("train.bin",),
        test="test.bin",
        labels=(20, 100),
    ),
}


def read_cifar(info: DatasetInfo, root: Path | None = None) -> tuple[Pixels, Pixels]:
    """The learning and the test images of CIFAR-10 or CIFAR-100.

    In the user's folder the files may lie as they are, in the folder of the archive, or in the archive itself, which is
    read without unpacking it.

    Args:
        info: Of the set; its counts and classes are checked.
        root: As `lightloom.data.files.find_files` has it.

    Returns:
        uint8 images [n, 3, 32, 32] with int64 labels [n], twice, in the order of the files.

    Raises:
        RequestError: A file is missing, cut short, too long, or holds a label that is none.
        WorkError: A download failed.
    """
    layout = LAYOUTS[info.name]
    counts = dict.fromkeys(layout.learning, info.train_and_validation // len(layout.learning)) | {
        layout.test: info.test
    }
    record = len(layout.labels) + math.prod(info.shape)
    place = _place(info, layout, root)
    bodies = _bodies(place, layout, {name: count * record for name, count in counts.items()})
    parts = [_parse(bodies[name], _shown(place, layout, name), layout, count, info) for name, count in counts.items()]
    images, labels = zip(*parts[:-1], strict=True)
    return (torch.cat(images), torch.cat(labels)), parts[-1]


def _place(info: DatasetInfo, layout: Layout, root: Path | None) -> Path:
    """The folder with the files, or the archive."""
    location = given_folder(info.name, root)
    if location is None:
        return find_file(info, layout.archive, root)
    # the last is where torchvision's folder of its data sets has it
    for place in (location, location / layout.folder, location.parent / layout.folder):
        if any((place / name).is_file() for name in (*layout.learning, layout.test)):
            return place
    for folder in (location, location.parent):
        for name in (layout.archive, layout.archive.removesuffix(".gz")):
            if (folder / name).is_file():
                return folder / name
    raise RequestError(
        f"There is neither `{location / layout.folder / layout.test}` nor `{location / layout.archive}`. "
        f"{_other_version(info, layout, location)}"
        f"{contents(location if location.is_dir() else location.parent)} {put_there(info)}"
    )


def _other_version(info: DatasetInfo, layout: Layout, location: Path) -> str:
    """A sentence about the python or the Matlab version of a set that lies where the binary one is looked for."""
    stem, bare = (
        layout.archive.removesuffix("-binary.tar.gz"),
        [Path(name).stem for name in (*layout.learning, layout.test)],
    )
    versions = {
        "python": ([f"{stem}-batches-py", f"{stem}-python", f"{stem}-python.tar.gz", f"{stem}-python.tar"], bare),
        "Matlab": (
            [f"{stem}-batches-mat", f"{stem}-matlab", f"{stem}-matlab.tar.gz"],
            [f"{name}.mat" for name in bare],
        ),
    }
    for version, (packages, files) in versions.items():
        places = [
            folder / name for folder in (location, location.parent) for name in packages if (folder / name).exists()
        ]
        places += [location / name for name in files if (location / name).is_file()]
        if places:
            source = f" from {info.mirror.url}" if info.mirror is not None else ""
            why = (
                " (its files are pickled objects, and loading these would run their code)"
                if version == "python"
                else ""
            )
            return (
                f"`{places[0]}` is the {version} version of {info.title}, which is not read{why}: fetch the binary "
                f"version, `{layout.archive}`{source}. "
            )
    return ""


def _parse(body: bytes, where: str, layout: Layout, count: int, info: DatasetInfo) -> Pixels:
    head = len(layout.labels)
    record = head + math.prod(info.shape)
    if len(body) != count * record:
        what = "goes on after its end" if len(body) > count * record else f"is cut short after {len(body)} bytes"
        raise RequestError(
            f"`{where}` {what}: expected {count} records of {record} bytes, {count * record} in all. "
            "Fetch it again, or is it the file of another data set?"
        )
    records = torch.from_numpy(np.frombuffer(body, dtype=np.uint8).copy()).view(count, record)
    for column, classes in enumerate(layout.labels):
        _check_labels(records[:, column], classes, where)
    return records[:, head:].reshape(count, *info.shape), records[:, head - 1].to(torch.int64)


def _check_labels(labels: Tensor, classes: int, where: str) -> None:
    outside = (labels >= classes).nonzero()[:, 0]
    if len(outside):
        first = int(outside[0])
        raise RequestError(
            f"`{where}` has the label {int(labels[first])} in record {first} ({len(outside)} such in all); "
            f"labels of {classes} classes lie in 0 ... {classes - 1}. Is it the file of another data set?"
        )


def _bodies(place: Path, layout: Layout, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """The files of a set by name, at most one byte more of each than it should have."""
    try:
        if place.is_dir():
            headers = {name: _head(place / name, size) for name, size in sizes.items() if (place / name).is_file()}
        else:
            headers = _from_archive(place, layout, sizes)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise RequestError(f"`{place}` is cut short or damaged ({error}). Fetch it again.") from None
    except OSError as error:
        raise RequestError(f"Cannot read `{place}`: {error.strerror or error}.") from error
    missing = [f"`{_shown(place, layout, name)}`" for name in sizes if name not in headers]
    if missing:
        there = f" {contents(place)}" if place.is_dir() else ""
        raise RequestError(f"Missing: {', '.join(missing)}.{there} Fetch the whole set again.")
    return headers


def _head(path: Path, size: int) -> bytes:
    with path.open("rb") as stream:
        return stream.read(size + 1)


def _from_archive(path: Path, layout: Layout, sizes: Mapping[str, int]) -> dict[str, bytes]:
    """Read the archive in one pass: it is compressed, so going back to a file means starting again."""
    headers = {}
    with path.open("rb") as packed, tarfile.open(fileobj=unpacked(packed), mode="r|") as archive:
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            stream = archive.extractfile(member) if member.isreg() and folder == layout.folder else None
            if stream is not None and name in sizes:
                headers[name] = stream.read(sizes[name] + 1)
    return headers


def _shown(place: Path, layout: Layout, name: str) -> str:
    return f"{place / name}" if place.is_dir() else f"{place}: {layout.folder}/{name}"
