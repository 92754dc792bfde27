"""Sheets of pictures: tiles for the page, each with its words, and a file of all of them beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightloom.report.pictures.boxes2d import font
from lightloom.report.svg import LIGHT, shown

if TYPE_CHECKING:
    from PIL.Image import Image

LEVELS = 64  # colours of a map: as many as an eye tells apart, in half the bytes of all
_MARGIN, _LINE = 16, 26  # of a file, in px
_FRAME = 900  # ms that one picture of an animation stays


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Attributes:
        title: What it is, in a word or two.
        note: More of it; may be empty.
        alt: What it shows, for those who do not see it.
        source: The picture as a `data:` address.
        still: What is shown instead where nothing may move; empty where the picture stands still.
        crisp: Whether its pixels are those of the optics, to be seen as they are.
    """

    title: str
    note: str
    alt: str
    source: str
    still: str = ""
    crisp: bool = True


@dataclass(frozen=True)
class Scale:
    """What the colours of a sheet mean: a bar from `least` to `most`."""

    source: str
    least: str
    most: str


@dataclass(frozen=True)
class Sheet:
    """Tiles that belong together; `files` go to `plots/` by name."""

    name: str
    title: str
    caption: str
    tiles: tuple[Tile, ...]
    scale: Scale | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)


def coloured(values: NDArray[np.float64], colours: str) -> Image:
    """A picture of values [h, w] in 0 ... 1 in a colour map of matplotlib, in `LEVELS` steps.

    Args:
        values: Values [h, w] from 0 to 1.
        colours: Name of the colour map in matplotlib.
    """
    from PIL import Image as pil

    steps = np.clip(np.floor(values * LEVELS), 0, LEVELS - 1).astype(np.uint8)
    picture = pil.frombytes("P", steps.shape[::-1], steps.tobytes())
    picture.putpalette(_palette(colours))
    return picture


def spanned(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values brought to 0 ... 1, the least to 0; all 0 where they are the same."""
    least, most = float(values.min()), float(values.max())
    return (values - least) / (most - least) if most > least else np.zeros_like(values)


def scale(colours: str, least: str, most: str) -> Scale:
    """The bar of a colour map.

    Args:
        colours: Name of the colour map in matplotlib.
        least: What the first colour stands for.
        most: What the last colour stands for.
    """
    bar = coloured(np.linspace(0, 1, 4 * LEVELS)[None, :], colours)
    return Scale(uri(png(bar), "png"), least, most)


def uri(content: bytes, kind: str) -> str:
    """A `data:` address of a picture; `kind` is `png`, `jpeg` or `gif`.

    Args:
        content: The bytes of the picture.
        kind: Its format: `png`, `jpeg` or `gif`.
    """
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def png(picture: Image) -> bytes:
    """The picture as the bytes of a PNG file."""
    return _saved(picture, format="PNG", optimize=True)


def jpeg(picture: Image, quality: int = 80) -> bytes:
    """The picture as the bytes of a JPEG file.

    Args:
        picture: The picture.
        quality: Quality of the compression, 1 ... 95.
    """
    return _saved(picture, format="JPEG", quality=quality, optimize=True, progressive=True)


def gif(pictures: Sequence[Image]) -> bytes:
    """The pictures one after the other, without end, as the bytes of a GIF file."""
    first, *others = pictures
    return _saved(first, format="GIF", save_all=True, append_images=others, duration=_FRAME, loop=0)


def enlarged(picture: Image, side: int) -> Image:
    """The picture with at least `side` px on its longer side, every pixel a square of whole px.

    Args:
        picture: The picture.
        side: Least px of its longer side.
    """
    from PIL import Image as pil

    factor = max(1, -(-side // max(picture.size)))
    return picture.resize((factor * picture.width, factor * picture.height), pil.Resampling.NEAREST)


def montage(title: str, pictures: Sequence[tuple[str, Image]], columns: int) -> Image:
    """One picture of several in rows, each below its name, on the light surface of a page.

    Args:
        title: Text above the pictures.
        pictures: Each picture with its name.
        columns: Pictures in a row.
    """
    from PIL import Image as pil
    from PIL import ImageDraw

    wide = max(picture.width for _, picture in pictures)
    high = max(picture.height for _, picture in pictures) + _LINE
    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    size = (_MARGIN + columns * (wide + _MARGIN), _MARGIN + 2 * _LINE + rows * (high + _MARGIN))
    whole = pil.new("RGB", size, LIGHT["surface"])
    draw = ImageDraw.Draw(whole)
    draw.text((_MARGIN, _MARGIN), _fitting(title, size[0], 17), fill=LIGHT["ink"], font=font(17))
    for index, (name, picture) in enumerate(pictures):
        row, column = divmod(index, columns)
        left, top = _MARGIN + column * (wide + _MARGIN), _MARGIN + 2 * _LINE + row * (high + _MARGIN)
        draw.text((left, top), _fitting(name, wide, 13), fill=LIGHT["muted"], font=font(13))
        whole.paste(picture.convert("RGB"), (left, top + _LINE))
    return whole


def _fitting(text: str, width: int, size: int) -> str:
    """The beginning of a text, as much of it as fits into `width` px."""
    return shown(text, max(4, int(width / (0.68 * size))))


def _palette(colours: str) -> list[int]:
    from matplotlib import colormaps

    return [int(part) for part in (255 * colormaps[colours](np.linspace(0, 1, LEVELS))[:, :3]).round().ravel()]


def _saved(picture: Image, **how: Any) -> bytes:
    stream = BytesIO()
    picture.save(stream, **how)
    return stream.getvalue()
