"""Image files: what they say of themselves, and their pixels as 8 bits of RGB, turned and scaled as asked.

Gray and colour images may hold more than 8 bits. What of them is white is no property of one image but of the camera,
so it is the caller's: `white_level` of all images of a set.
"""

from __future__ import annotations

import logging
import re
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from PIL import Image

from lightloom.data.detection.listing import is_file

BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, LookupError, AttributeError, EOFError, NotImplementedError),
    *(ArithmeticError, MemoryError, UserWarning, struct.error, zlib.error),
    *BOMBS,
)
"""What PIL raises on files that are damaged, or claim to be larger than memory."""

_LOGGER = logging.getLogger("lightloom")
_ORIENTATION = 0x0112  # tag of EXIF
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_BITS = (8, 10, 12, 14, 16, 24, 32)  # depths that cameras and file formats have
_LEAST_BLACK = 0.05  # of the brightest value that values may lie below zero by, as subtracting a dark image leaves them
_PARTNERS = {"B": "L", "L": "B", "N": "B" if np.little_endian else "L"}


class Depth(NamedTuple):
    """The values of an image of more than 8 bits.

    Attributes:
        peak: The largest.
        whole: All are whole numbers.
        floating: The file stores them as floating point numbers.
    """

    peak: float
    whole: bool
    floating: bool


class Header(NamedTuple):
    """What an image file says of itself.

    Attributes:
        width: Pixels as they are stored.
        height: Likewise.
        trouble: Kind of flaw and its text where the image cannot be used.
        orientation: The EXIF tag, 1 ... 8; 1 where there is none, and for formats that are turned when they are read.
        depth: Of images of more than 8 bits.
    """

    width: int
    height: int
    trouble: tuple[str, str] | None
    orientation: int = 1
    depth: Depth | None = None

    def turned(self, orientation: int) -> tuple[int, int]:
        """(width, height) once turned."""
        return turned_size((self.width, self.height), orientation)


def turned_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(width, height) of an image of this size once turned as an EXIF tag says.

    Args:
        size: Width and height as stored.
        orientation: EXIF orientation, 1 ... 8.
    """
    return size[::-1] if orientation in _SIDEWAYS else size


def read_header(path: Path, *, decode: bool = False) -> Header:
    """Size of an image file, and whether it can be read.

    Args:
        path: The file.
        decode: Decode every pixel, which finds a file cut short, in the place of the header alone. Images of more than
            8 bits are always decoded: their header does not tell what is white.
    """
    if not is_file(path):
        return Header(0, 0, ("missing image", f"there is no file `{path}`"))
    try:
        with Image.open(path) as image:
            width, height = image.size
            if min(width, height) < 1:
                return Header(0, 0, ("damaged image", f"`{path}` says that it is {width} x {height}"))
            if width * height > (Image.MAX_IMAGE_PIXELS or width * height):
                return Header(0, 0, _too_large(f"{width} x {height}"))
            values = _deep_values(image, path)
            if decode and values is None:
                image.load()
            orientation = _orientation(image, decode)
            if image.size != (width, height):  # some formats hide an image of another size in a frame
                return Header(0, 0, ("damaged image", f"`{path}` is {image.size}, and its header says {width, height}"))
            if not decode and values is None:
                image.verify()
            depth = None if values is None else _depth(values, image.format)
    except BOMBS as error:
        return Header(0, 0, _too_large(str(error)))
    except MemoryError:
        return Header(0, 0, _too_large("its header claims more than there is memory"))
    except UNREADABLE as error:
        return Header(0, 0, ("damaged image", f"`{path}` cannot be read: {str(error) or type(error).__name__}"))
    return Header(width, height, None, orientation, depth)


def white_level(depths: Iterable[Depth]) -> float | None:
    """The value that is white in images of more than 8 bits, the same for all of them; None where there is none.

    That is the largest number of the least depth of 8, 10, 12, 14, 16, ... bits that holds every value; of floating
    point numbers 1, or where they go beyond it and are not whole, the largest of all.
    """
    every = list(depths)
    if not every:
        return None
    peak = max(depth.peak for depth in every)
    if peak <= 1 and any(depth.floating for depth in every):
        return 1.0
    if not all(depth.whole for depth in every):
        return peak
    return next((float(2**bits - 1) for bits in _BITS if peak < 2**bits), peak)


def read_picture(path: Path, *, white: float | None, least_size: tuple[int, int] | None = None) -> Image.Image:
    """An image in RGB, as it is stored.

    Args:
        path: The file.
        white: Value that becomes 255 where the file holds more than 8 bits; None takes the level of this image alone.
        least_size: (width, height) that are needed; of a JPEG, at least twice as many pixels come.

    Raises:
        OSError: Or another of `UNREADABLE`: the file cannot be decoded.
    """
    with Image.open(path) as image:
        if image.width * image.height > (Image.MAX_IMAGE_PIXELS or image.width * image.height):
            raise Image.DecompressionBombError(f"it has {image.width} x {image.height} pixels")
        if least_size is not None:
            # decodes fewer frequencies, which is far quicker
            image.draft("RGB", (2 * least_size[0], 2 * least_size[1]))
        values = _deep_values(image, path)
        if values is None:
            return image.convert("RGB")
        if white is None:
            white = white_level([_depth(values, image.format)]) or 1.0
            _LOGGER.warning(
                "`%s` holds more than 8 bits, and no white was given: %g is taken for it alone.", path, white
            )
    return Image.fromarray(shown(values, white)).convert("RGB")


def turn(image: Image.Image, orientation: int) -> Image.Image:
    """An image turned as an EXIF tag says.

    Args:
        image: As stored.
        orientation: EXIF orientation, 1 ... 8.
    """
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def shown(values: np.ndarray[Any, Any], white: float) -> np.ndarray[Any, Any]:
    """Values of which `white` is the brightest as uint8; of whole depths, their 8 highest bits.

    Args:
        values: Pixels of more than 8 bits, or of floating point.
        white: The value that becomes 255.
    """
    if values.dtype.kind in "ui" and white == int(white):
        return (values.astype(np.int64) * 256 // (int(white) + 1)).clip(0, 255).astype(np.uint8)
    scaled = values.astype(np.float64) * (255 / white)
    return cast("np.ndarray[Any, Any]", scaled.round().clip(0, 255).astype(np.uint8))


def _deep_values(image: Image.Image, path: Path) -> np.ndarray[Any, Any] | None:
    """Values of an image of more than 8 bits, [h, w] or [h, w, 3]; None of others."""
    if image.mode == "F" or image.mode.startswith("I"):
        return np.asarray(image)
    tiles = list(image.tile) if hasattr(image, "tile") else []
    raw = tiles[0].args if tiles else ""
    raw = raw[0] if isinstance(raw, tuple) and raw else raw
    match = re.fullmatch(r"(LA|RGB|RGBA|RGBX);16([BLN])", raw if isinstance(raw, str) else "")
    if match is None:
        return None
    # PIL keeps the high byte of each value; read in the other byte order, the low one comes in its place
    gray = match[1] == "LA"
    high = np.asarray(image)
    with Image.open(path) as again:
        partner = "RGBA" if gray else f"{match[1]};16{_PARTNERS[match[2]]}"
        again.tile = [
            tile._replace(args=(partner, *tile.args[1:]) if isinstance(tile.args, tuple) else partner)
            for tile in again.tile
        ]
        low = np.asarray(again)
    upper, lower = (low[..., 0], low[..., 1]) if gray else (high[..., :3], low[..., :3])
    values: np.ndarray[Any, Any] = upper.astype(np.uint16) * 256 + lower
    return values


def _depth(values: np.ndarray[Any, Any], form: str | None) -> Depth:
    if form == "PPM":  # which states its white, and PIL makes it this
        return Depth(65535.0, whole=True, floating=False)
    least, peak, floating = float(values.min()), float(values.max()), values.dtype.kind == "f"
    if not np.isfinite(values).all() or -least > _LEAST_BLACK * peak:
        raise ValueError(f"its values run from {least:g} to {peak:g}, of which nothing is agreed to be black and white")
    return Depth(peak, not floating or bool((values == values.round()).all()), floating)


def _orientation(image: Image.Image, loaded: bool) -> int:
    if image.format == "TIFF" or (image.format == "PNG" and "exif" not in image.info and not loaded):
        return 1  # PIL turns the one when it reads it; the other would be decoded to look for a tag behind its pixels
    try:
        tag = image.getexif().get(_ORIENTATION, 1)
    except UNREADABLE:  # the tags are damaged, and the picture need not be
        return 1
    return tag if tag in _TURNS else 1


def _too_large(what: str) -> tuple[str, str]:
    return "image too large", f"it has more than the {Image.MAX_IMAGE_PIXELS} pixels that are read ({what})"
