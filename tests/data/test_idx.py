from __future__ import annotations

import gzip
import hashlib
import re
import struct
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightloom.common.errors import RequestError
from lightloom.data import read_idx, read_images, read_labelled, read_labels

IdxBytes = Callable[[int, Sequence[int], bytes], bytes]

# Type code, struct format of one number, torch type, and numbers that reach both ends of the range.
TYPES = [
    (0x08, "B", torch.uint8, [0, 1, 127, 128, 254, 255]),
    (0x09, "b", torch.int8, [-128, -1, 0, 1, 2, 127]),
    (0x0B, "h", torch.int16, [-32768, -256, -1, 0, 258, 32767]),
    (0x0C, "i", torch.int32, [-(2**31), -1, 0, 1, 16909060, 2**31 - 1]),
    (0x0D, "f", torch.float32, [-1.5, 0.0, 0.15625, 1.0, 2.0**100, 2.0**-100]),
    (0x0E, "d", torch.float64, [-1.5, 0.0, 0.1, 1.0, 2.0**1000, 2.0**-1000]),
]


def put(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("code", "form", "dtype", "numbers"), TYPES)
@pytest.mark.parametrize("packed", [True, False])
def test_every_type_code(
    idx_bytes: IdxBytes,
    tmp_path: Path,
    code: int,
    form: str,
    dtype: torch.dtype,
    numbers: list[float],
    packed: bool,
) -> None:
    content = idx_bytes(code, (2, 3), struct.pack(f">6{form}", *numbers))
    path = put(tmp_path / "a.gz", gzip.compress(content, mtime=0)) if packed else put(tmp_path / "a", content)
    array = read_idx(path)
    assert array.dtype == dtype
    assert array.tolist() == [numbers[:3], numbers[3:]]
    array += 1  # the tensor owns memory that may be written


@settings(deadline=None, max_examples=60)
@given(sides=st.lists(st.integers(0, 5), min_size=1, max_size=5), data=st.data())
def test_round_trip(
    idx_bytes: IdxBytes, tmp_path_factory: pytest.TempPathFactory, sides: list[int], data: st.DataObject
) -> None:
    count = int(torch.tensor(sides).prod())
    numbers = data.draw(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=count, max_size=count))
    path = tmp_path_factory.getbasetemp() / "round-trip"
    put(path, idx_bytes(0x0B, sides, struct.pack(f">{count}h", *numbers)))
    array = read_idx(path)
    assert list(array.shape) == sides
    assert array.flatten().tolist() == numbers


@settings(deadline=None, max_examples=300)
@given(data=st.data(), packed=st.booleans(), named_packed=st.booleans())
def test_damage_is_refused_or_read_but_never_crashes(
    idx_bytes: IdxBytes,
    tmp_path_factory: pytest.TempPathFactory,
    data: st.DataObject,
    packed: bool,
    named_packed: bool,
) -> None:
    content = idx_bytes(8, (3, 2, 2), bytes(range(12)))
    damaged = bytearray(gzip.compress(content, mtime=0) if packed else content)
    for _ in range(data.draw(st.integers(0, 3))):
        # The header is where damage does most.
        position = data.draw(st.integers(0, len(damaged) - 1) | st.integers(0, 15))
        damaged[position] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    extra = data.draw(st.binary(max_size=3))
    path = tmp_path_factory.getbasetemp() / ("damaged.gz" if named_packed else "damaged")
    put(path, bytes(damaged[:cut]) + extra)
    try:
        array = read_idx(path, max_bytes=2**16)
    except RequestError as error:
        assert str(path) in str(error)
    else:
        assert array.numel() * array.element_size() <= 2**16
        assert packed == named_packed


def test_missing_bytes_are_counted(idx_bytes: IdxBytes, tmp_path: Path) -> None:
    content = idx_bytes(0x0C, (5, 2), bytes(33))
    for path in (put(tmp_path / "short", content), put(tmp_path / "short.gz", gzip.compress(content, mtime=0))):
        with pytest.raises(RequestError, match=r"5 x 2, 40 bytes, and 7 of them are missing"):
            read_idx(path)


def test_a_header_cut_short_is_counted(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="5 bytes of its header are missing"):
        read_idx(put(tmp_path / "short", bytes([0, 0, 8, 3]) + bytes(7)))


def test_trailing_bytes_are_refused(idx_bytes: IdxBytes, tmp_path: Path) -> None:
    content = idx_bytes(8, (4,), bytes(5))
    for path in (put(tmp_path / "long", content), put(tmp_path / "long.gz", gzip.compress(content, mtime=0))):
        with pytest.raises(RequestError, match="trailing bytes follow"):
            read_idx(path)


def test_a_gzip_stream_cut_anywhere_is_refused(idx_bytes: IdxBytes, tmp_path: Path) -> None:
    packed = gzip.compress(idx_bytes(8, (300,), bytes(i * i % 251 for i in range(300))))
    for cut in range(2, len(packed)):  # from the magic number to the last byte: the checksum at the end counts as well
        with pytest.raises(RequestError, match="cut short"):
            read_idx(put(tmp_path / "cut.gz", packed[:cut]))


def test_gzip_checksum_is_checked(idx_bytes: IdxBytes, tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(idx_bytes(8, (300,), bytes(300))))
    packed[-8] ^= 1
    with pytest.raises(RequestError, match="CRC"):
        read_idx(put(tmp_path / "flipped.gz", bytes(packed)))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.gz", b"<html>404</html>", "not whole gzip data"),
        ("a", b"<html>404</html>", "not an IDX file.*3c 68 74 6d"),
        ("a", b"", "not an IDX file"),
        ("a.gz", b"", "not an IDX file"),
        ("a", gzip.compress(b"\0\0\x08\x01", mtime=0), "let its name end in `.gz`"),
        ("a", b"\0\1\x08\x01\0\0\0\0", "not an IDX file"),
        ("a", b"\0\0\x0a\x01\0\0\0\0", "not an IDX file"),
        ("a", b"\0\0\x08\0", "rank 0"),
        ("a", b"\0\0\x08\xff" + bytes(1020), "rank 255"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        read_idx(put(tmp_path / name, content))


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=re.escape(f"Cannot read `{tmp_path / 'none'}`: No such file")):
        read_idx(tmp_path / "none")
    with pytest.raises(RequestError, match="directory"):
        read_idx(tmp_path)


def test_absurd_dimensions_are_refused(idx_bytes: IdxBytes, tmp_path: Path) -> None:
    for sides in ((2**31, 2), (2**32 - 1,) * 8, (0, 2**32 - 1, 2**32 - 1)):
        with pytest.raises(RequestError, match="are accepted"):
            read_idx(put(tmp_path / "absurd", idx_bytes(8, sides, b"")))
    path = put(tmp_path / "limit", idx_bytes(0x0E, (2, 2), bytes(32)))
    assert read_idx(path, max_bytes=32).shape == (2, 2)
    with pytest.raises(RequestError, match="at most 31 bytes"):
        read_idx(path, max_bytes=31)


@pytest.mark.parametrize(
    ("announced", "present"), [(10, 2**26), (2**30, 100)], ids=["inflates to more", "announces more"]
)
def test_memory_follows_neither_the_header_nor_the_bomb(
    idx_bytes: IdxBytes, tmp_path: Path, announced: int, present: int
) -> None:
    path = put(tmp_path / "bomb.gz", gzip.compress(idx_bytes(8, (announced,), bytes(present))))
    tracemalloc.start()
    with pytest.raises(RequestError):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**23


def test_swapped_files_are_named(idx_bytes: IdxBytes, tmp_path: Path) -> None:
    images = put(tmp_path / "images", idx_bytes(8, (2, 3, 4), bytes(24)))
    labels = put(tmp_path / "labels", idx_bytes(8, (2,), bytes(2)))
    with pytest.raises(RequestError, match=r"labels, not images .* were the two files swapped\?"):
        read_images(labels)
    with pytest.raises(RequestError, match=r"images, not labels .* were the two files swapped\?"):
        read_labels(images, classes=10)
    pixels, classes = read_labelled(images, labels, classes=1)
    assert pixels.shape == (2, 3, 4)
    assert classes.dtype == torch.int64


@pytest.mark.parametrize(
    ("code", "sides", "size", "message"),
    [
        (8, (2, 2), 4, "rank 2"),
        (0x0D, (1, 1, 1), 4, "float32"),
        (8, (3, 0, 2), 0, "no pixels"),
        (8, (1,) * 4, 1, "rank 4"),
    ],
)
def test_what_is_no_image(
    idx_bytes: IdxBytes, tmp_path: Path, code: int, sides: tuple[int, ...], size: int, message: str
) -> None:
    with pytest.raises(RequestError, match=message):
        read_images(put(tmp_path / "images", idx_bytes(code, sides, bytes(size))))


def test_labels_are_checked(idx_bytes: IdxBytes, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"label 10 at position 2 \(2 such in all\).*0 \.\.\. 9"):
        read_labels(put(tmp_path / "a", idx_bytes(8, (4,), bytes([0, 9, 10, 11]))), classes=10)
    with pytest.raises(RequestError, match="label -1 at position 0"):
        read_labels(put(tmp_path / "b", idx_bytes(9, (1,), b"\xff")), classes=10)
    with pytest.raises(RequestError, match="float32 numbers of rank 1"):
        read_labels(put(tmp_path / "c", idx_bytes(0x0D, (1,), bytes(4))), classes=10)


def test_counts_must_agree(idx_bytes: IdxBytes, tmp_path: Path) -> None:
    images = put(tmp_path / "images", idx_bytes(8, (2, 1, 1), bytes(2)))
    labels = put(tmp_path / "labels", idx_bytes(8, (3,), bytes(3)))
    with pytest.raises(RequestError, match=r"2 images but .* 3 labels"):
        read_labelled(images, labels, classes=10)


@pytest.mark.parametrize(
    ("name", "count", "md5"),
    [
        ("train-images-idx3-ubyte.gz", 60_000, "6bbc9ace898e44ae57da46a324031adb"),
        ("t10k-images-idx3-ubyte.gz", 10_000, "2646ac647ad5339dbf082846283269ea"),
    ],
)
def test_mnist_reads_as_published(real_data: Path, name: str, count: int, md5: str) -> None:
    """The header written anew and the pixels read have the checksum of the original file."""
    pixels = read_images(real_data / "mnist" / name)
    header = struct.pack(">4B3I", 0, 0, 8, 3, count, 28, 28)
    assert hashlib.md5(header + pixels.numpy().tobytes()).hexdigest() == md5
