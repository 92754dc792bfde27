"""What every reader checks: boxes against their image, class lists, and how much of a set is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

import torch

from lightloom.common.errors import RequestError
from lightloom.data.detection.pictures import Header, read_header, white_level
from lightloom.data.detection.records import OnInvalid, Problem, Record
from lightloom.data.detection.threads import in_threads

ROUNDING = 0.5  # pixels that an edge may lie outside by: annotation tools round
_FEW = 10  # boxes or images of which more than half may be lost: too few to tell a rule from an accident
_IMAGES = ("missing image", "damaged image", "image too large", "missing annotation", "damaged file")
_BOXES = ("zero area", "out of image", "not finite", "unknown class", "damaged annotation", "unlisted image")


class Found(NamedTuple):
    """A box as an annotation states it.

    Attributes:
        where: File name and annotation, for messages.
        box: x0, y0, x1, y1 in pixels.
        label: From 0.
        crowd: A region that is neither a target nor counted as missed.
        area: Square pixels where stated.
        difficult: An object that is neither a target nor counted.
    """

    where: str
    box: tuple[float, float, float, float]
    label: int
    crowd: bool = False
    area: float | None = None
    difficult: bool = False


class Findings:
    """Flaws met so far: noted, or raised where the user wants none.

    Args:
        on_invalid: `skip`, `any` or `fail`.

    Raises:
        RequestError: `on_invalid` is none of them.
    """

    def __init__(self, on_invalid: OnInvalid) -> None:
        if on_invalid not in ("skip", "any", "fail"):
            raise RequestError(
                f"`on_invalid` is `{on_invalid}`; give `skip` or `fail`, or `any` to take however little is left."
            )
        self._on_invalid = on_invalid
        self.problems: list[Problem] = []

    def note(self, kind: str, where: str, what: str, done: str) -> None:
        """Note a flaw.

        Args:
            kind: Name of the kind of flaw.
            where: File and place.
            what: What is wrong there.
            done: What becomes of it, such as `dropped`.

        Raises:
            RequestError: `on_invalid` is `fail`.
        """
        if self._on_invalid == "fail":
            raise RequestError(f"{where}: {what} ({kind}). Mend it, or read with `on_invalid=skip`: it is then {done}.")
        self.remark(kind, where, what, done)

    def remark(self, kind: str, where: str, what: str, done: str) -> None:
        """Note what is no flaw but matters: how the files were understood where they leave it open.

        Args:
            kind: Name of the kind of remark.
            where: File and place.
            what: What is open there.
            done: How it is understood.
        """
        self.problems.append(Problem(kind, where, what, done))

    def settle(self, where: str, records: Sequence[Record]) -> None:
        """Refuse a split that loses more than it keeps.

        Args:
            where: The split, for messages.
            records: What is kept of it.

        Raises:
            RequestError: Nothing is left; or, under `skip`, of ten or more boxes or images over half were dropped. The
                kinds of loss are counted and the first is told.
        """
        dropped = [one for one in self.problems if one.done == "dropped" and one.kind in _IMAGES + _BOXES]
        images, boxes = ([one for one in dropped if one.kind in kinds] for kinds in (_IMAGES, _BOXES))
        if not records:
            first = f" The first: {dropped[0].where}: {dropped[0].what}." if dropped else ""
            raise RequestError(f"{where} has no usable image.{first}")
        for what, drops, remaining in (
            ("images", images, len(records)),
            ("boxes", boxes, sum(len(record.labels) for record in records)),
        ):
            if self._on_invalid == "skip" and len(drops) > remaining and len(drops) + remaining >= _FEW:
                kinds = ", ".join(
                    f"{count} x {kind}" for kind, count in Counter(one.kind for one in drops).most_common()
                )
                raise RequestError(
                    f"{where} loses {len(drops)} of {len(drops) + remaining} {what} ({kinds}), so something is amiss "
                    f"with all of it. The first: {drops[0].where}: {drops[0].what}. Mend the set, or take "
                    "what is left with `on_invalid=any` (`data.on_invalid=any` of a run)."
                )


def read_headers(paths: Sequence[Path], *, decode: bool = False) -> list[Header]:
    """Read the headers of many files, in threads; see `read_header`.

    Args:
        paths: Files of images.
        decode: Decode each image as well, to find damage behind its header.
    """
    return list(in_threads(lambda path: read_header(path, decode=decode), paths, "Checking images"))


def usable(header: Header, where: str, findings: Findings) -> bool:
    """Whether an image can be used; the reason why not is noted.

    Args:
        header: Header of the image.
        where: File and place of the annotation, for the note.
        findings: The notes.
    """
    if header.trouble is not None:
        findings.note(header.trouble[0], where, header.trouble[1], "dropped")
    return header.trouble is None


def stated_orientation(header: Header, where: str, findings: Findings, stated: tuple[int, int] | None) -> int:
    """The turn, 1 ... 8, under which boxes fit an image whose annotation states a size.

    Neither VOC nor COCO says whether boxes refer to an image as it is stored or as its EXIF tag turns it, and tools do
    both. The stated (width, height) tells where the two differ in size; else boxes are taken as of the stored pixels,
    as the programs of both challenges read them. Either is noted, and so is a size that fits neither.

    Args:
        header: Header of the image.
        where: File and place of the annotation, for the note.
        findings: The notes.
        stated: Width and height that the annotation states; None where it states none.
    """
    stored, turned = (header.width, header.height), header.turned(header.orientation)
    if header.orientation != 1:
        tag = f"its EXIF tag turns it (orientation {header.orientation})"
        if stated is not None and stated == turned != stored:
            findings.remark("orientation", where, f"{tag}, and the size of the annotation says that boxes do", "turned")
            return header.orientation
        if stated is not None and stated == stored != turned:
            findings.remark(
                "orientation", where, f"{tag}, and the size of the annotation says that boxes do not", "kept"
            )
        else:
            findings.note(
                "orientation", where, f"{tag}; nothing tells whether boxes do, and they are taken not to", "kept"
            )
    if stated is not None and stated != stored:
        hint = "; was it turned by an orientation tag, which it has lost?" if stated == stored[::-1] else ""
        what = f"the annotation says {stated[0]} x {stated[1]}, the image is {stored[0]} x {stored[1]}{hint}"
        findings.note("wrong size", where, what, "kept")
    return 1


def make_record(
    path: Path,
    key: str,
    image_id: int,
    header: Header,
    listed: list[Found],
    findings: Findings,
    orientation: int = 1,
) -> Record:
    """An image with those of its boxes that are sound; the others are noted.

    A box is dropped where it has no area, is not finite, lies outside, or repeats an earlier one of its class; it is
    clipped where a part of it lies outside, with a note where that part is over half a pixel wide.

    Args:
        path: The image file.
        key: What the set calls it.
        image_id: From 1, unique in the set.
        header: Of the file.
        listed: Boxes in pixels of the image once turned.
        findings: Takes the notes.
        orientation: The turn, an EXIF tag.
    """
    unique: list[Found] = []
    keys: set[tuple[object, ...]] = set()
    width, height = header.turned(orientation)
    for one in listed:
        box = _sound(one, (width, height), findings)
        if box is None:
            continue
        if (*box, one.label, one.crowd) in keys:
            findings.note("duplicate box", one.where, f"the box {_shown(box)} was there before", "dropped")
            continue
        keys.add((*box, one.label, one.crowd))
        unique.append(one._replace(box=box))
    stated = [one.area for one in unique if one.area is not None]
    difficult = torch.tensor([one.difficult for one in unique], dtype=torch.bool)
    return Record(
        image=path,
        image_id=image_id,
        key=key,
        width=width,
        height=height,
        boxes=torch.tensor([one.box for one in unique], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([one.label for one in unique], dtype=torch.int64),
        crowd=torch.tensor([one.crowd for one in unique], dtype=torch.bool),
        area=torch.tensor(stated, dtype=torch.float32) if unique and len(stated) == len(unique) else None,
        difficult=difficult if difficult.any() else None,
        orientation=orientation,
        white=white_level([header.depth]) if header.depth is not None else None,
    )


def _sound(one: Found, size: tuple[int, int], findings: Findings) -> tuple[float, float, float, float] | None:
    x0, y0, x1, y1 = one.box
    if not all(map(isfinite, one.box)):
        findings.note("not finite", one.where, f"the box is {_shown(one.box)}", "dropped")
        return None
    if x1 <= x0 or y1 <= y0:
        findings.note("zero area", one.where, f"the box {_shown(one.box)} has no area", "dropped")
        return None
    width, height = size
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


def match_classes(listed: Sequence[str], expected: Sequence[str] | None, where: str) -> tuple[str, ...]:
    """The classes that a file lists, which must be those asked for, in their order.

    Args:
        listed: Classes that the file lists, in its order.
        expected: Classes that it must list; None takes what it lists.
        where: The file, for the message.

    Raises:
        RequestError: The class list does not match, names a class twice, or is empty.
    """
    double = [name for name, count in Counter(listed).items() if count > 1]
    if double:
        raise RequestError(
            f"`{where}` has {len(listed)} classes, {len(set(listed))} of them different: "
            f"{', '.join(f'`{name}`' for name in double[:5])} is there more than once. List each once."
        )
    if not listed:
        raise RequestError(f"`{where}` lists no class; give at least one.")
    if expected is None or tuple(expected) == tuple(listed):
        return tuple(listed)
    place = next(
        (i for i, (a, b) in enumerate(zip(expected, listed, strict=False)) if a != b), min(len(expected), len(listed))
    )
    here = f"`{listed[place]}`" if place < len(listed) else "none"
    there = f"`{expected[place]}`" if place < len(expected) else "none"
    raise RequestError(
        f"The class list does not match: class {place} is {here} in `{where}` ({len(listed)} classes), and {there} "
        f"was asked for ({len(expected)} classes). Give the classes of the file in its order, or leave them away."
    )
