from __future__ import annotations

import gzip
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests share `labelled`

IdxBytes = Callable[[int, Sequence[int], bytes], bytes]

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@pytest.fixture(scope="session")
def idx_bytes() -> IdxBytes:
    """An IDX file written by hand: type code, sides, and the big-endian body."""

    def written(code: int, sides: Sequence[int], body: bytes) -> bytes:
        return bytes([0, 0, code, len(sides)]) + struct.pack(f">{len(sides)}I", *sides) + body

    return written


@pytest.fixture(scope="session")
def small_set(idx_bytes: IdxBytes) -> dict[str, bytes]:
    """The four gzip files of a set of 40 + 20 images of 3 x 2 pixels in 4 classes, by file name."""
    files = {}
    for (images, labels), count in ((TRAIN, 40), (TEST, 20)):
        pixels = bytes((7 * i + count) % 256 for i in range(count * 6))
        files[f"{images}.gz"] = gzip.compress(idx_bytes(8, (count, 3, 2), pixels))
        files[f"{labels}.gz"] = gzip.compress(idx_bytes(8, (count,), bytes(i % 4 for i in range(count))))
    return files
