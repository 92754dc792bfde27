"""Pictures and label files as people's tools leave them, for the tests of the readers."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

W, H = 60, 40
BOX = "<bndbox><xmin>6</xmin><ymin>4</ymin><xmax>36</xmax><ymax>24</ymax></bndbox>"
CORNERS = [6.0, 4.0, 36.0, 24.0]
ROW = "0 0.35 0.35 0.5 0.5\n"
"""The same box as a row of YOLO."""


def picture(path: Path, size: tuple[int, int] = (W, H), orientation: int = 1) -> Path:
    """A picture of noise of (width, height), in the format of its ending, with an EXIF tag."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8))
    exif = Image.Exif()
    if orientation != 1:
        exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path


def text(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    """A text file and its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def page(*objects: str, size: tuple[int, int] | None = None, name: str = "") -> str:
    """An annotation of VOC with these objects."""
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    tag = f"<filename>{name}</filename>" if name else ""
    return f"<annotation>{tag}{stated}{''.join(f'<object>{one}</object>' for one in objects)}</annotation>"


def voc(root: Path, *keys: str, listed: str | bytes | None = None) -> Path:
    """A set in VOC form with a cat in each image, and the list `train`."""
    for key in keys:
        picture(root / f"JPEGImages/{key}.png")
        text(root / f"Annotations/{key}.xml", page(f"<name>cat</name>{BOX}"))
    text(root / "ImageSets/Main/train.txt", "".join(f"{key}\n" for key in keys) if listed is None else listed)
    return root


def deep_png(values: np.ndarray) -> bytes:
    """A PNG of 16 bits with these values [h, w] (gray), or [h, w, 2 ... 4] (gray with alpha, RGB, RGB with alpha)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    kind = {1: 0, 2: 4, 3: 2, 4: 6}[1 if values.ndim == 2 else values.shape[2]]
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, kind, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
