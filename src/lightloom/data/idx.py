"""The IDX format of MNIST and its kin: a header of dimensions, then the numbers, big-endian, often in gzip.

Header: two zero bytes, one byte of type code, one byte of rank, then `rank` unsigned 32-bit dimensions.
Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section "File formats".
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.data.packed import GZIP_MAGIC, MOST_LAYERS, unpacked

MAX_BYTES = 2**31
"""Largest array, in bytes, that `read_idx` accepts unless told otherwise (EMNIST's largest has 0.55e9)."""

_MAX_RANK = 8
_CHUNK = 2**20
_TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(">u1"),
    0x09: np.dtype(">i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}


def read_idx(path: Path, *, max_bytes: int = MAX_BYTES) -> Tensor:
    """The array of one IDX file, plain or (where the name ends in `.gz`) compressed, once or more.

    Never holds more than the announced array, which `max_bytes` bounds, whatever the file inflates to.

    Args:
        path: The file.
        max_bytes: Largest array accepted, in bytes; a larger header is refused before anything is read.

    Returns:
        A tensor of the file's shape and type: uint8, int8, int16, int32, float32 or float64.

    Raises:
        RequestError: The file cannot be read, is not IDX, or holds fewer or more bytes than its header says.
    """
    with _opened(path) as stream:
        dtype, shape = _read_header(stream, path)
        size = math.prod(shape) * dtype.itemsize
        # An empty side must not hide an absurd one, so zeros count as ones here.
        if math.prod(max(side, 1) for side in shape) * dtype.itemsize > max_bytes:
            raise RequestError(
                f"`{path}` announces an array of {_text(shape)} ({dtype.itemsize} bytes each); "
                f"at most {max_bytes} bytes are accepted. Its header is probably damaged: fetch it again."
            )
        body = _read_up_to(stream, size)
        if len(body) < size:
            raise RequestError(
                f"`{path}` is cut short: its header announces {_text(shape)}, {size} bytes, "
                f"and {size - len(body)} of them are missing. Fetch it again."
            )
        if stream.read(1):
            raise RequestError(
                f"`{path}` goes on after its end: its header announces {_text(shape)}, {size} bytes, "
                "and trailing bytes follow them. It is damaged or two files in one: fetch it again."
            )
    array = np.frombuffer(body, dtype=dtype).astype(dtype.newbyteorder("="), copy=False)
    return torch.from_numpy(array.reshape(shape))


def read_images(path: Path) -> Tensor:
    """The grey images of an IDX file.

    Returns:
        uint8 pixels [n, h, w].

    Raises:
        RequestError: As `read_idx`, or the file holds labels, something else, or nothing.
    """
    images = read_idx(path)
    if images.ndim == 1:
        raise RequestError(f"`{path}` holds labels, not images (rank 1): were the two files swapped?")
    if images.ndim != 3 or images.dtype != torch.uint8:
        raise RequestError(f"`{path}` holds {_kind(images)}; grey images are uint8 of rank 3 (images, height, width).")
    if images.numel() == 0:
        raise RequestError(f"`{path}` holds no pixels: its shape is {_text(images.shape)}.")
    return images


def read_labels(path: Path, *, classes: int) -> Tensor:
    """The class numbers of an IDX file.

    Args:
        path: The file.
        classes: Number of classes; every label lies in 0 ... `classes` - 1.

    Returns:
        int64 labels [n].

    Raises:
        RequestError: As `read_idx`, or the file holds images or something else, or a label is out of range.
    """
    labels = read_idx(path)
    if labels.ndim == 3:
        raise RequestError(f"`{path}` holds images, not labels (rank 3): were the two files swapped?")
    if labels.ndim != 1 or labels.is_floating_point():
        raise RequestError(f"`{path}` holds {_kind(labels)}; labels are whole numbers of rank 1.")
    labels = labels.to(torch.int64)
    outside = torch.nonzero((labels < 0) | (labels >= classes)).flatten()
    if len(outside):
        first = int(outside[0])
        raise RequestError(
            f"`{path}` has the label {int(labels[first])} at position {first} ({len(outside)} such in all); "
            f"labels of {classes} classes lie in 0 ... {classes - 1}. Is it the file of another data set?"
        )
    return labels


def read_labelled(images_path: Path, labels_path: Path, *, classes: int) -> tuple[Tensor, Tensor]:
    """Images and their labels from two IDX files that belong together.

    Args:
        images_path: File of the images.
        labels_path: File of the labels.
        classes: Labels must be 0 ... classes - 1.

    Returns:
        uint8 pixels [n, h, w] and int64 labels [n].

    Raises:
        RequestError: As `read_images` and `read_labels`, or the two files differ in length.
    """
    images, labels = read_images(images_path), read_labels(labels_path, classes=classes)
    if len(images) != len(labels):
        raise RequestError(
            f"`{images_path}` holds {len(images)} images but `{labels_path}` holds {len(labels)} labels; "
            "there must be one for each. Were files of two splits mixed?"
        )
    return images, labels


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The decompressed bytes of a file; whatever can go wrong with them becomes a `RequestError`."""
    try:
        if path.suffix == ".gz":
            with gzip.open(path, "rb") as stream:
                yield unpacked(cast(BinaryIO, stream))
        else:
            with path.open("rb") as plain:
                yield plain
    except EOFError:
        raise RequestError(
            f"`{path}` is cut short: its gzip stream breaks off after {path.stat().st_size} compressed "
            "bytes, before its end mark. Fetch it again."
        ) from None
    except gzip.BadGzipFile as error:
        raise RequestError(
            f"`{path}` is not whole gzip data ({error}). Fetch it again; "
            "if it was unpacked already, take `.gz` from its name."
        ) from None
    except zlib.error as error:
        raise RequestError(f"`{path}` is damaged gzip data ({error}). Fetch it again.") from None
    except OSError as error:
        raise RequestError(f"Cannot read `{path}`: {error.strerror or error}.") from error


def _read_header(stream: BinaryIO, path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    head = bytes(_read_up_to(stream, 4))
    if head[:2] == GZIP_MAGIC:
        if path.suffix == ".gz":
            raise RequestError(
                f"`{path}` is compressed more than {MOST_LAYERS} times over. Unpack it, or fetch it again."
            )
        raise RequestError(f"`{path}` holds gzip data: let its name end in `.gz`.")
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES:
        raise RequestError(
            f"`{path}` is not an IDX file: it begins with the bytes [{head.hex(' ')}]; "
            "IDX begins with 00 00, a type code (08, 09, 0b ... 0e) and the rank."
        )
    rank = head[3]
    if not 1 <= rank <= _MAX_RANK:
        raise RequestError(f"`{path}` announces an array of rank {rank}; 1 ... {_MAX_RANK} are accepted.")
    sides = bytes(_read_up_to(stream, 4 * rank))
    if len(sides) < 4 * rank:
        raise RequestError(
            f"`{path}` is cut short: {4 * rank - len(sides)} bytes of its header are missing. Fetch it again."
        )
    return _TYPES[head[2]], tuple(np.frombuffer(sides, dtype=">u4").tolist())


def _read_up_to(stream: BinaryIO, size: int) -> bytearray:
    """Read at most `size` bytes in pieces: memory grows with what is there, not with what is announced."""
    body = bytearray()
    while len(body) < size:
        piece = stream.read(min(_CHUNK, size - len(body)))
        if not piece:
            break
        body += piece
    return body


def _text(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _kind(array: Tensor) -> str:
    return f"{array.dtype} numbers of rank {array.ndim}".removeprefix("torch.")
