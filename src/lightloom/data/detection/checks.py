"""What every reader checks: boxes against their image, class lists, and the image files themselves."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, UnidentifiedImageError

from lightloom.common.errors import RequestError
from lightloom.data.detection.records import Flaws, Problem, Record
from lightloom.data.detection.threads import in_threads

ROUNDING = 0.5  # pixels that an edge may lie outside by: annotation tools round
BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)


class Found(NamedTuple):
    """A box as an annotation states it.

    Attributes:
        where: File name and annotation, for messages.
        box: x0, y0, x1, y1 in pixels.
        label: From 0.
        crowd: A region that is neither a target nor counted as missed.
        area: Square pixels where stated.
    """

    where: str
    box: tuple[float, float, float, float]
    label: int
    crowd: bool = False
    area: float | None = None


class Header(NamedTuple):
    """What an image file says of itself; `trouble` is the kind of flaw and its text where it cannot be used."""

    width: int
    height: int
    trouble: tuple[str, str] | None


class Findings:
    """Flaws met so far: noted, or raised where the user wants none.

    Args:
        flaws: `skip` or `fail`.

    Raises:
        RequestError: `flaws` is neither.
    """

    def __init__(self, flaws: Flaws) -> None:
        if flaws not in ("skip", "fail"):
            raise RequestError(f"`flaws` is `{flaws}`; give `skip` or `fail`.")
        self._flaws = flaws
        self.problems: list[Problem] = []

    def note(self, kind: str, where: str, what: str, done: str) -> None:
        """Note a flaw. Raises `RequestError` under `fail`."""
        if self._flaws == "fail":
            raise RequestError(f"{where}: {what} ({kind}). Mend it, or read with `flaws=skip`: it is then {done}.")
        self.problems.append(Problem(kind, where, what, done))


def read_header(path: Path, *, decode: bool = False) -> Header:
    """Size of an image file, and whether it can be read.

    Args:
        path: The file.
        decode: Decode every pixel, which finds a file cut short, in the place of the header alone.
    """
    if not path.is_file():
        return Header(0, 0, ("missing image", f"there is no file `{path}`"))
    try:
        with Image.open(path) as image:
            width, height = image.size
            if width * height > (Image.MAX_IMAGE_PIXELS or width * height):
                return Header(0, 0, _too_large(f"{width} x {height}"))
            if decode:
                image.load()
            else:
                image.verify()
    except BOMBS as error:
        return Header(0, 0, _too_large(str(error)))
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:  # PIL raises SyntaxError on a bad PNG
        return Header(0, 0, ("damaged image", f"`{path}` cannot be read: {error}"))
    return Header(width, height, None)


def _too_large(what: str) -> tuple[str, str]:
    limit = Image.MAX_IMAGE_PIXELS
    return "image too large", f"it has more than the {limit} pixels that are read ({what})"


def read_headers(paths: Sequence[Path], *, decode: bool = False) -> list[Header]:
    """`read_header` of many files, in threads."""
    return list(in_threads(lambda path: read_header(path, decode=decode), paths, "Checking images"))


def usable(header: Header, where: str, findings: Findings, stated: tuple[int, int] | None = None) -> bool:
    """Whether an image can be used; notes why not, and a stated (width, height) that the image contradicts."""
    if header.trouble is not None:
        findings.note(header.trouble[0], where, header.trouble[1], "dropped")
        return False
    size = (header.width, header.height)
    if stated is not None and stated != size:
        turned = "; was it turned by an orientation tag, which is not applied here?" if stated == size[::-1] else ""
        findings.note(
            "wrong size",
            where,
            f"the annotation says {stated[0]} x {stated[1]}, the image is {size[0]} x {size[1]}{turned}",
            "kept",
        )
    return True


def make_record(path: Path, key: str, image_id: int, header: Header, found: list[Found], findings: Findings) -> Record:
    """An image with those of its boxes that are sound; the others are noted.

    A box is dropped where it has no area, is not finite, lies outside, or repeats an earlier one of its class; it is
    clipped where a part of it lies outside, with a note where that part is over half a pixel wide.
    """
    kept: list[Found] = []
    seen: set[tuple[object, ...]] = set()
    for one in found:
        box = _sound(one, header, findings)
        if box is None:
            continue
        if (*box, one.label, one.crowd) in seen:
            findings.note("duplicate box", one.where, f"the box {_shown(box)} was there before", "dropped")
            continue
        seen.add((*box, one.label, one.crowd))
        kept.append(one._replace(box=box))
    stated = [one.area for one in kept if one.area is not None]
    return Record(
        image=path,
        image_id=image_id,
        key=key,
        width=header.width,
        height=header.height,
        boxes=torch.tensor([one.box for one in kept], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([one.label for one in kept], dtype=torch.int64),
        crowd=torch.tensor([one.crowd for one in kept], dtype=torch.bool),
        area=torch.tensor(stated, dtype=torch.float32) if kept and len(stated) == len(kept) else None,
    )


def _sound(one: Found, header: Header, findings: Findings) -> tuple[float, float, float, float] | None:
    x0, y0, x1, y1 = one.box
    if not all(map(isfinite, one.box)):
        findings.note("not finite", one.where, f"the box is {_shown(one.box)}", "dropped")
        return None
    if x1 <= x0 or y1 <= y0:
        findings.note("zero area", one.where, f"the box {_shown(one.box)} has no area", "dropped")
        return None
    width, height = header.width, header.height
    clipped = (max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height)))
    image = f"the image of {width} x {height}"
    if clipped[2] <= clipped[0] or clipped[3] <= clipped[1]:
        findings.note("out of image", one.where, f"the box {_shown(one.box)} lies outside {image}", "dropped")
        return None
    if max(abs(a - b) for a, b in zip(clipped, one.box, strict=True)) > ROUNDING:
        findings.note("out of image", one.where, f"the box {_shown(one.box)} reaches out of {image}", "clipped")
    return clipped


def _shown(box: tuple[float, float, float, float]) -> str:
    return "(" + ", ".join(f"{side:g}" for side in box) + ")"


def match_classes(found: Sequence[str], asked: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """The classes that a file lists, which must be those asked for, in their order.

    Raises:
        RequestError: The class list does not match, names a class twice, or is empty.
    """
    if not found or len(set(found)) < len(found):
        raise RequestError(f"`{where}` has {len(found)} classes, {len(set(found))} of them different; list each once.")
    if asked is None or tuple(asked) == tuple(found):
        return tuple(found)
    place = next((i for i, (a, b) in enumerate(zip(asked, found, strict=False)) if a != b), min(len(asked), len(found)))
    here = f"`{found[place]}`" if place < len(found) else "none"
    there = f"`{asked[place]}`" if place < len(asked) else "none"
    raise RequestError(
        f"The class list does not match: class {place} is {here} in `{where}` ({len(found)} classes), and {there} "
        f"was asked for ({len(asked)} classes). Give the classes of the file in its order, or leave them away."
    )
