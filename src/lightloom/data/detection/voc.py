"""Sets in the form of the PASCAL VOC challenge: an XML file per image, and mostly a list of images per split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from lightloom.common.errors import RequestError, nearest
from lightloom.data.detection.checks import (
    Findings,
    Found,
    make_record,
    match_classes,
    read_headers,
    stated_orientation,
    usable,
)
from lightloom.data.detection.listing import Listing
from lightloom.data.detection.records import DetectionSet, OnInvalid, Problem, Record
from lightloom.data.detection.texts import DamagedFileError
from lightloom.data.detection.voc_layout import WHOLE, Entry, all_pages, entries, find_image, find_layout, unread
from lightloom.data.detection.whites import one_white
from lightloom.data.detection.words import flag, whole
from lightloom.data.detection.xml_pages import parse_xml

_SIDES = ("xmin", "ymin", "xmax", "ymax")


class _Page(NamedTuple):
    """One annotation file: what the set calls it, its root, its image."""

    entry: Entry
    root: Element
    image: Path


def read_voc(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    on_invalid: OnInvalid = "skip",
    decode: bool = False,
    one_based: bool = False,
) -> DetectionSet:
    """Read one split of a set in VOC form.

    The list `ImageSets/Main/<split>.txt` names the files `Annotations/<id>.xml`; the image is `JPEGImages/<id>.jpg`
    (or `.jpeg`, `.png`, ...), or else what the `<filename>` tag names. Without lists, folders `train`, `val`, `test` of
    annotation files are splits, and a folder that is not divided is the split `all`. Annotation files that no list
    names are not read. Objects marked `difficult` are neither targets nor counted, as in the challenge. An image's size
    is what its file says; an EXIF orientation is applied where the stated size shows that the boxes refer to the turned
    image, and noted in any case.

    Args:
        root: The folder that holds `ImageSets`, `Annotations` and `JPEGImages`, or `annotations` and `images`.
        split: Name of the list or folder.
        classes: Class names in the order of the labels; by default every name in the annotations of all splits, sorted.
        on_invalid: Drop or mend what is flawed and note it, or fail.
        decode: Decode every image to find those cut short.
        one_based: Edges count pixels from 1 and the far ones are inclusive, as in the files of the challenge itself;
            else they are coordinates, as labelling tools write them.

    Raises:
        RequestError: The list, all annotations or all images are missing, a file has a DTD, more is lost than kept, or
            `on_invalid` is `fail` and there is one.
    """
    findings = Findings(on_invalid)
    layout = find_layout(root)
    names = match_classes(classes, None, "classes") if classes is not None else voc_classes(root)
    pages = list(_pages(entries(layout, split, findings), findings))
    headers = read_headers([page.image for page in pages], decode=decode)
    records: list[Record] = []
    for page, header in zip(pages, headers, strict=True):
        where = f"`{page.entry.page}`"
        if usable(header, where, findings):
            orientation = stated_orientation(header, where, findings, _stated_size(page.root))
            objects = list(_boxes(page, names, findings, one_based))
            number = len(records) + 1
            records.append(make_record(page.image, page.entry.key, number, header, objects, findings, orientation))
    where = f"The split `{split}` of `{root}`"
    findings.settle(where, records)
    return DetectionSet(f"{root.name} {split}", names, one_white(records, where, findings), tuple(findings.problems))


def voc_classes(root: Path) -> tuple[str, ...]:
    """Every class name in the annotations of all splits of a set, sorted; files that do not parse are passed over.

    Raises:
        RequestError: There is no annotation, or no object in any.
    """
    names: set[str] = set()
    first: DamagedFileError | None = None
    for path in all_pages(find_layout(root)):
        try:
            names |= {name for item in parse_xml(path).iter("object") if (name := _word(item, "name"))}
        except DamagedFileError as error:  # which the reader of its split notes
            first = first or error
    if not names:
        why = f" The first that cannot be read: {first}" if first is not None else " Or give `classes`."
        raise RequestError(f"No annotation file of `{root}` names an object; the splits are empty or damaged.{why}")
    return tuple(sorted(names))


def voc_splits(root: Path) -> tuple[str, ...]:
    """Names of the lists or folders of a set, sorted; `all` alone where it is not divided.

    Raises:
        RequestError: There is no annotation file.
    """
    layout = find_layout(root)
    return tuple(sorted(layout.lists or layout.folders))


def voc_leftovers(root: Path) -> tuple[Problem, ...]:
    """What of a set is in no split, as a problem each: annotation files, and images without one."""
    layout = find_layout(root)
    pages, images = unread(layout)
    remarks = []
    if pages:
        what = f"{len(pages)} annotation files are in no list; the first is `{pages[0]}`"
        remarks.append(Problem("unlisted annotation", f"`{layout.pages}`", what, "dropped"))
    if images:
        what = f"{len(images)} images have no annotation file and are left out; the first is `{images[0]}`"
        remarks.append(Problem("no annotation", f"`{root}`", what, "dropped"))
    if WHOLE in layout.folders:
        what = f"there is no list of images, so all annotation files of `{layout.folders[WHOLE]}` are one split"
        remarks.append(Problem("no split", f"`{root}`", what, "kept"))
    return tuple(remarks)


def _pages(listed: Sequence[Entry], findings: Findings) -> Iterator[_Page]:
    listing = Listing()
    for entry in listed:
        try:
            page = parse_xml(entry.page)
        except DamagedFileError as error:
            findings.note("damaged file", f"`{entry.page}`", str(error).rstrip("."), "dropped")
            continue
        if page.tag != "annotation" and page.find(".//object") is None:
            what = f"it is no annotation of VOC: its root is `<{page.tag}>`"
            findings.note("damaged file", f"`{entry.page}`", what, "dropped")
            continue
        yield _Page(entry, page, find_image(entry, page, listing))


def _stated_size(page: Element) -> tuple[int, int] | None:
    """What the size tag says; tools that leave it out write nothing or 0."""
    width, height = (whole(_word(page, f"size/{side}")) for side in ("width", "height"))
    return None if width is None or height is None else (width, height)


def _boxes(page: _Page, names: tuple[str, ...], findings: Findings, one_based: bool) -> Iterator[Found]:
    for number, item in enumerate(page.root.iter("object"), 1):
        where, name = f"`{page.entry.page}`, object {number}", _word(item, "name")
        if not name:
            findings.note("damaged annotation", where, "it has no `<name>`", "dropped")
            continue
        if name not in names:
            findings.note("unknown class", where, f"there is no class `{name}`. {nearest(name, names)}", "dropped")
            continue
        difficult = flag(item.findtext("difficult"))
        if difficult is None:
            findings.note("damaged annotation", where, f"`<difficult>` is {item.findtext('difficult')!r}", "kept")
        boxes = item.findall("bndbox")
        corners = list(_corners(boxes, where, findings))
        if len(corners) > 1:
            what = f"it has {len(corners)} boxes, which are taken as so many objects `{name}`"
            findings.note("several boxes", where, what, "mended")
        if not boxes:
            findings.note("damaged annotation", where, "it has no `<bndbox>`", "dropped")
        for x0, y0, x1, y1 in corners:
            box = (x0 - one_based, y0 - one_based, x1, y1)
            yield Found(where, box, names.index(name), difficult=bool(difficult))


def _corners(boxes: Sequence[Element], where: str, findings: Findings) -> Iterator[tuple[float, float, float, float]]:
    """The corners of every box of an object; of one that states a side several times, so many boxes."""
    for box in boxes:
        columns = {side: [item.text or "" for item in box.findall(side)] for side in sorted(_SIDES)}
        counts = {side: len(column) for side, column in columns.items()}
        if len(set(counts.values())) > 1 or not all(counts.values()):
            least = min(counts, key=lambda side: counts[side])
            what = f"its `<bndbox>` has {f'{counts[least]} times' if counts[least] else 'no'} `<{least}>`"
            findings.note("damaged annotation", where, what, "dropped")
            continue
        for texts in zip(*(columns[side] for side in _SIDES), strict=True):
            try:
                x0, y0, x1, y1 = (float(text) for text in texts)
            except ValueError:
                wrong = next(place for place, text in enumerate(texts) if not _is_number(text))
                what = f"`<bndbox/{_SIDES[wrong]}>` is {texts[wrong]!r}; give a number"
                findings.note("damaged annotation", where, what, "dropped")
                continue
            yield x0, y0, x1, y1


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _word(item: Element, tag: str) -> str:
    return (item.findtext(tag) or "").strip()
