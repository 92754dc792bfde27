"""Files that are compressed, perhaps more than once."""

from __future__ import annotations

import gzip
from typing import BinaryIO, cast

GZIP_MAGIC = b"\x1f\x8b"
MOST_LAYERS = 3  # what is packed deeper was made to harm


def unpacked(stream: BinaryIO) -> BinaryIO:
    """What is below every layer of gzip of a stream that can be peeked into; as it is where there is none."""
    for _ in range(MOST_LAYERS):
        if stream.peek(2)[:2] != GZIP_MAGIC:  # type: ignore[attr-defined]  # of buffered readers and of gzip's
            break
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=stream, mode="rb"))
    return stream
