"""Sets in the form of COCO: one JSON file with images, annotations and categories."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PureWindowsPath

from lightloom.common.errors import RequestError
from lightloom.data.detection.checks import Findings, make_record, read_headers, stated_orientation, usable
from lightloom.data.detection.coco_page import Id, Listed, read_boxes, read_categories, read_images, read_page
from lightloom.data.detection.listing import Listing, is_file
from lightloom.data.detection.records import DetectionSet, OnInvalid, Record
from lightloom.data.detection.whites import one_white
from lightloom.data.files import contents


def read_coco(
    annotations: Path,
    images: Path | Sequence[Path],
    *,
    classes: Sequence[str] | None = None,
    on_invalid: OnInvalid = "skip",
    decode: bool = False,
) -> DetectionSet:
    """Read a JSON file of COCO's form.

    Labels follow the categories in the order of their ids, which may skip. Images are numbered anew from 1 in the
    order of the file, and their own ids, numbers or strings, kept as keys. An image without annotations stays. A file
    name is looked for in `images`, in the folder above, and beside the JSON file and above it; where it begins with
    folders that are not there, without these.

    Args:
        annotations: The JSON file.
        images: The folder that the file names are relative to, or several; absolute names are taken as they are.
        classes: The class names that the file must have, in its order; None takes them as they are.
        on_invalid: Drop or mend what is flawed and note it, or fail.
        decode: Decode every image to find those cut short.

    Raises:
        RequestError: The file is missing, does not parse (names the line) or lacks a part, the class list does not
            match, no image can be used, more is lost than kept, or `on_invalid` is `fail` and there is one.
    """
    findings = Findings(on_invalid)
    page = read_page(annotations)
    labels, names = read_categories(page, annotations, classes, findings)
    listed = read_images(page["images"], annotations, findings)
    boxes = read_boxes(page["annotations"], annotations, listed, labels, findings)
    image_folders = [images] if isinstance(images, Path) else list(images)
    folders = _folders(annotations, image_folders)
    files = _files(annotations, listed, folders, findings)
    headers = read_headers(list(files.values()), decode=decode)
    records: list[Record] = []
    for (image, path), header in zip(files.items(), headers, strict=True):
        entry = listed[image]
        where = f"`{annotations}`, image {entry.key}"
        if usable(header, where, findings):
            orientation = stated_orientation(header, where, findings, entry.size)
            number = len(records) + 1
            records.append(make_record(path, entry.key, number, header, boxes[image], findings, orientation))
    if not records:
        first = (
            f"The first, `{next(iter(listed.values())).name}`, was looked for" if listed else "It lists none; they lie"
        )
        raise RequestError(
            f"`{annotations}` has no usable image. {first} in {', '.join(f'`{folder}`' for folder in folders)}. "
            f"{contents(image_folders[0])}{_why(findings)}"
        )
    where = f"`{annotations}`"
    findings.settle(where, records)
    return DetectionSet(annotations.stem, names, one_white(records, where, findings), tuple(findings.problems))


def _folders(annotations: Path, image_folders: Sequence[Path]) -> list[Path]:
    """Folders in which file names are looked for, in this order."""
    above = [folder.parent for folder in image_folders]
    return list(dict.fromkeys([*image_folders, *above, annotations.parent, annotations.parent.parent]))


def _files(annotations: Path, listed: dict[Id, Listed], folders: Sequence[Path], findings: Findings) -> dict[Id, Path]:
    """The file of each image; of one that is nowhere, where it should be. A file that two entries name is noted."""
    listing = Listing()
    files: dict[Id, Path] = {}
    owners: dict[Path, Listed] = {}
    relocated: list[tuple[Listed, Path]] = []
    for image, entry in listed.items():
        path, as_written = _find(entry.name, folders, listing)
        if path is None:
            files[image] = folders[0] / _slashes(entry.name)
            continue
        if path in owners:
            what = f"`{entry.name}` and `{owners[path].name}` (image {owners[path].key}) are one file, `{path}`"
            findings.note("duplicate image", f"`{annotations}`, image {entry.key}", what, "dropped")
            continue
        owners[path] = entry
        files[image] = path
        relocated += [] if as_written else [(entry, path)]
    if relocated:
        entry, path = relocated[0]
        what = f"{len(relocated)} file names are not as they are here; the first, `{entry.name}`, is read from `{path}`"
        findings.remark("moved images", f"`{annotations}`", what, "mended")
    return files


def _find(name: str, folders: Sequence[Path], listing: Listing) -> tuple[Path | None, bool]:
    """The file of a name and whether it was where the name says; None where there is none."""
    for folder in folders[:1]:
        if is_file(folder / name):
            return folder / name, True
    for tail in _tails(_slashes(name)):
        for folder in folders:
            path = folder / tail
            if is_file(path):
                return path, tail == name
            path = listing.find(path.parent, path.stem, {path.suffix.lower()}) or path
            if is_file(path):
                return path, False
    return None, False


def _slashes(name: str) -> str:
    return PureWindowsPath(name).as_posix() if "\\" in name else name


def _tails(name: str) -> Iterator[str]:
    """A path as it is, then without its first folder, and so on to the file name alone."""
    yield name
    parts = [part for part in name.split("/") if part]
    for place in range(1, len(parts)):
        yield "/".join(parts[place:])


def _why(findings: Findings) -> str:
    dropped = next((problem for problem in findings.problems if problem.done == "dropped"), None)
    return f" The first that was dropped: {dropped.where}: {dropped.what}." if dropped is not None else ""
