"""Small JPEG images in one folder per class: Tiny ImageNet on the disk, and CIFAR-10 packed in one archive.

Images are decoded once, in the order of their names, and every one must have the size that the set has.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.common.files import write_bytes
from lightloom.common.processes import is_main
from lightloom.data.dataset_info import DatasetInfo
from lightloom.data.files import cache_folder, contents, put_there, required_folder
from lightloom.data.splits import Pixels

_LARGEST = 2**20  # bytes of one packed image; real ones have about a thousand
_TOLD = 10_000  # images between two signs of life
_Report = Callable[[int, str], None]
_PARTS = ("train", "test")


def read_class_folders(info: DatasetInfo, root: Path | None = None) -> tuple[Pixels, Pixels, tuple[str, ...]]:
    """The learning and the test images of Tiny ImageNet, and its class names.

    Its folder holds `train/CLASS/images/*.JPEG`, and `val/images/*.JPEG` with their classes in
    `val/val_annotations.txt`, either itself or in `tiny-imagenet-200/` as the official archive unpacks. Labels follow
    the classes in alphabetical order.

    Args:
        info: Of the set; its counts and image size are checked.
        root: As `lightloom.data.files.find_files` has it.

    Returns:
        uint8 images [n, 3, h, w] with int64 labels [n], twice, and the class names.

    Raises:
        RequestError: A file is missing or broken, or counts, classes or sizes are not those of the set.
    """
    folder = required_folder(info, root)
    folder = folder / "tiny-imagenet-200" if (folder / "tiny-imagenet-200").is_dir() else folder
    classes = _class_folders(folder / "train", info)
    learning = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / "train" / name / "images").glob("*.JPEG"))
    ]
    test = _annotated(folder / "val", classes)
    for (part, files), count in zip(
        (("train", learning), ("val", test)), (info.train_and_validation, info.test), strict=True
    ):
        _check_count(len(files), count, folder / part, info)
    with _followed(info, len(learning) + len(test)) as report:
        first = _read_files(learning, info, report, 0)
        return first, _read_files(test, info, report, len(learning)), classes


def read_packed_folders(info: DatasetInfo, root: Path | None = None) -> tuple[Pixels, Pixels]:
    """The learning and the test images of a set that is one `.tar.xz` with `{train,test}/CLASS/*.jpg` in it.

    The archive is read as a stream and never unpacked. What was decoded is kept in `decoded/` of the cache folder,
    under the checksum of the archive.

    Args:
        info: Of the set; its classes, counts and image size are checked.
        root: As `lightloom.data.files.find_files` has it.

    Returns:
        uint8 images [n, 3, h, w] with int64 labels [n], twice, sorted by class and name.

    Raises:
        RequestError: There is no such archive or more than one, it is damaged, a member has an unsafe or unexpected
            name, an image is broken or of another size, or their number is not that of the set.
        WorkError: The decoded images cannot be written.
    """
    folder = required_folder(info, root)
    archives = sorted(folder.glob("*.tar.xz"))
    if len(archives) != 1:
        raise RequestError(
            f"`{folder}` holds {len(archives)} files `*.tar.xz`; expected one with the images. "
            f"{contents(folder)} {put_there(info)}"
        )
    with archives[0].open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    cached_file = cache_folder() / "decoded" / f"{info.name}-{digest[:16]}.safetensors"
    tensors = _recall(cached_file)
    if tensors is None:
        tensors = _unpack(archives[0], info)
        _keep(cached_file, tensors)
    for part, count in zip(_PARTS, (info.train_and_validation, info.test), strict=True):
        _check_count(len(tensors[f"{part}_labels"]), count, f"{archives[0]}: {part}/", info)
    train, test = ((tensors[f"{part}_images"], tensors[f"{part}_labels"]) for part in _PARTS)
    return train, test


# folders on the disk


def _class_folders(folder: Path, info: DatasetInfo) -> tuple[str, ...]:
    if not folder.is_dir():
        raise RequestError(f"Missing: the folder `{folder}`. {contents(folder.parent)} {put_there(info)}")
    classes = tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."))
    if len(classes) != info.class_count:
        raise RequestError(
            f"`{folder}` holds {len(classes)} class folders; {info.title} has {info.class_count}. "
            "Unpack the whole archive again."
        )
    return classes


def _annotated(folder: Path, classes: tuple[str, ...]) -> list[tuple[Path, int]]:
    """The images that `val_annotations.txt` lists, sorted by name, with their labels."""
    path = folder / "val_annotations.txt"
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"Cannot read `{path}`: {error}. Unpack the whole archive again.") from None
    labels = {name: label for label, name in enumerate(classes)}
    listed: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if len(fields) < 2 or fields[1] not in labels or "/" in fields[0] or "\\" in fields[0]:
            raise RequestError(
                f"Line {number} of `{path}` is `{line[:60]}`; expected a file name, a tab and one of the "
                f"{len(classes)} classes of the training folder."
            )
        if fields[0] in listed:
            raise RequestError(f"Line {number} of `{path}` lists `{fields[0]}` a second time.")
        listed[fields[0]] = labels[fields[1]]
    return [(folder / "images" / name, label) for name, label in sorted(listed.items())]


def _read_files(files: list[tuple[Path, int]], info: DatasetInfo, report: _Report, before: int) -> Pixels:
    images = torch.empty(len(files), *info.shape, dtype=torch.uint8)
    for index, (path, _) in enumerate(files):
        try:
            content = path.read_bytes()
        except OSError as error:
            raise RequestError(f"Cannot read `{path}`: {error.strerror}. Unpack the whole archive again.") from None
        images[index] = decode(content, info.shape, str(path))
        _tell(report, before + index + 1)
    return images, torch.tensor([label for _, label in files], dtype=torch.int64)


# folders in an archive


def _unpack(path: Path, info: DatasetInfo) -> dict[str, Tensor]:
    """Images and labels of both parts, sorted by class and name."""
    by_part: dict[str, dict[tuple[int, str], Tensor]] = {part: {} for part in _PARTS}
    total = info.train_and_validation + info.test
    labels = {name: label for label, name in enumerate(info.classes)}
    with _followed(info, total) as report:
        for number, (name, content) in enumerate(_members(path), 1):
            part, label, file = _sorted_in(name, labels, path)
            if number > total or (label, file) in by_part[part]:
                raise RequestError(f"`{path}` holds `{name}` twice, or more than the {total} images of {info.title}.")
            by_part[part][label, file] = decode(content, info.shape, f"{path}: {name}")
            _tell(report, number)
    tensors: dict[str, Tensor] = {}
    for part, images in by_part.items():
        _check_count(len(images), info.train_and_validation if part == "train" else info.test, f"{path}: {part}/", info)
        keys = sorted(images)
        tensors[f"{part}_images"] = torch.stack([images[key] for key in keys])
        tensors[f"{part}_labels"] = torch.tensor([label for label, _ in keys], dtype=torch.int64)
    return tensors


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every file of an archive, in its order; folders are passed over, all else is refused."""
    try:
        with lzma.open(path) as unpacked, tarfile.open(fileobj=unpacked, mode="r|") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts or "\\" in member.name:
                    raise RequestError(f"`{path}` holds a member with the unsafe name `{member.name}`. Do not use it.")
                if member.isdir():
                    continue
                stream = archive.extractfile(member) if member.isreg() and member.size <= _LARGEST else None
                if stream is None:
                    raise RequestError(f"`{path}` holds `{member.name}`, which is no small plain file. Do not use it.")
                yield member.name, stream.read()
            while unpacked.read(_LARGEST):  # to the checksum at its very end
                pass
    except (tarfile.TarError, lzma.LZMAError, EOFError) as error:
        raise RequestError(f"`{path}` is cut short or damaged ({error}). Fetch it again.") from None
    except OSError as error:
        raise RequestError(f"Cannot read `{path}`: {error.strerror or error}.") from error


def _sorted_in(name: str, labels: dict[str, int], path: Path) -> tuple[str, int, str]:
    """Part, label and file name that a member's name tells."""
    *_, part, kind, file = ("", "", *PurePosixPath(name).parts)
    if part not in _PARTS or kind not in labels or not file.lower().endswith((".jpg", ".jpeg")):
        raise RequestError(
            f"`{path}` holds `{name}`; expected `train/CLASS/NAME.jpg` or `test/CLASS/NAME.jpg` with the classes "
            f"{', '.join(labels)}."
        )
    return part, labels[kind], file


def _recall(path: Path) -> dict[str, Tensor] | None:
    """What `_keep` wrote, or None where it must be made again: a cache that is damaged is as good as none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (FileNotFoundError, SafetensorError):
        return None


def _keep(path: Path, tensors: dict[str, Tensor]) -> None:
    from safetensors.torch import save

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RequestError(
            f"Cannot make the folder `{path.parent}` for decoded images: {error.strerror}. "
            "Name one that can be written to by `LIGHTLOOM_CACHE`."
        ) from error
    write_bytes(path, save(tensors))


# one image


def decode(content: bytes, shape: tuple[int, int, int], file_name: str) -> Tensor:
    """The pixels of one JPEG; grey ones become three equal channels.

    Args:
        content: Of the file.
        shape: (3, height, width) that it must have; another is refused before it is decoded.
        file_name: Name of the file, for messages.

    Returns:
        uint8 [3, height, width].

    Raises:
        RequestError: It is broken, no JPEG, or of another size.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            if image.size != (shape[2], shape[1]):
                raise RequestError(
                    f"`{file_name}` has {image.size[0]} x {image.size[1]} pixels; expected {_size(shape)}."
                )
            pixels = np.array(image.convert("RGB"))
    except RequestError:
        raise
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise RequestError(f"`{file_name}` is no whole JPEG image ({_short(error)}). Fetch the set again.") from None
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _size(shape: Iterable[int]) -> str:
    _, height, width = shape
    return f"{width} x {height}"


def _short(error: BaseException) -> str:
    return str(error).partition(" <")[0]  # without the address of a stream


def _check_count(images: int, count: int, where: Path | str, info: DatasetInfo) -> None:
    if images != count:
        raise RequestError(f"`{where}` holds {images} images; {info.title} has {count} here. {put_there(info)}")


def _followed(info: DatasetInfo, total: int) -> AbstractContextManager[_Report]:
    from lightloom.common.progress import follow

    return follow(info.title, total, shown=is_main())


def _tell(report: _Report, done: int) -> None:
    if done % _TOLD == 0:
        report(done, "images")
