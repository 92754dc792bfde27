"""Where the lists, the annotation files and the images of a set in the form of VOC are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

from lightloom.common.errors import RequestError, nearest
from lightloom.data.detection.checks import Findings
from lightloom.data.detection.listing import IMAGE_ENDINGS, Listing, files_below, hidden
from lightloom.data.detection.texts import read_lines
from lightloom.data.files import contents

WHOLE = "all"
"""The only split of a folder that is not divided: its annotation files are one list."""

_PAGES = ("annotations", "annotation", "annots", "xmls", "xml", "labels")
_IMAGES = ("jpegimages", "images", "imgs", "image", "img")
_LISTS = ("ImageSets/Main", "ImageSets")
_FOLDERS = ("train", "trainval", "val", "valid", "validation", "test")
_XML, _TEXT = {".xml"}, {".txt"}
_FLAGS = ("-1", "0", "1")  # second column of a list of one class


class Layout(NamedTuple):
    """How a folder is laid out.

    Attributes:
        root: The folder.
        lists: Text files that name the images of a split; without any, `folders`.
        folders: Folders that hold the annotation files of a split.
        pages: The folder of the annotation files that `lists` name.
        images: The folder of the images.
    """

    root: Path
    lists: dict[str, Path]
    folders: dict[str, Path]
    pages: Path
    images: Path


class Entry(NamedTuple):
    """An image of a split: what it is called, its annotation file, and where its image may be."""

    key: str
    page: Path
    image_folders: tuple[Path, ...]


def find_layout(root: Path) -> Layout:
    """How a set in VOC form is laid out.

    Either lists in `ImageSets/Main` name files of `Annotations` and `JPEGImages`; or `train`, `val`, `test` are folders
    of annotation files; or there is one folder of them, as LabelImg leaves it, which is one split, `all`. Names such as
    `annotations`, `annots` and `images` do as well, and images may lie beside their annotations.

    Raises:
        RequestError: There is no annotation file.
    """
    pages, images = _child(root, _PAGES), _child(root, _IMAGES)
    lists: dict[str, Path] = {}
    for name in _LISTS:
        lists = lists or {path.stem: path for path in sorted(Listing().files(root / name, _TEXT))}
    if not lists and pages is not None:
        lists = {path.stem: path for path in sorted(Listing().files(root, _TEXT)) if path.stem in _FOLDERS}
    if lists:
        if pages is None:
            raise RequestError(
                f"Missing: the folder `{root / 'Annotations'}`. A set in VOC form has one. {contents(root)}"
            )
        return Layout(root, lists, {}, pages, images or root / "JPEGImages")
    folders: dict[str, Path] = {}
    for name in _FOLDERS:
        places = [base / name for base in (pages, images, root) if base is not None]
        place = next((place for place in places if place.is_dir() and files_below(place, _XML)), None)
        if place is not None:
            folders[name] = place
    if not folders:
        place = next((place for place in (pages, images, root) if place is not None and files_below(place, _XML)), None)
        if place is None:
            raise RequestError(
                f"`{root}` holds no annotation file: a set in VOC form has `Annotations/*.xml` and mostly lists in "
                f"`ImageSets/Main`. Name the folder above these. {contents(root)}"
            )
        folders = {WHOLE: place}
    return Layout(root, {}, folders, pages or root, images or root)


def entries(layout: Layout, split: str, findings: Findings) -> list[Entry]:
    """The images of a split in the order of its list; those without an annotation file are noted and left out.

    Args:
        layout: Of the set.
        split: Name of a list or folder.
        findings: Takes the notes.

    Raises:
        RequestError: There is no such list.
    """
    if layout.lists:
        if split not in layout.lists:
            folder = next(iter(layout.lists.values())).parent
            raise RequestError(f"There is no list `{folder / f'{split}.txt'}`. {nearest(split, layout.lists)}")
        return list(_listed(layout, layout.lists[split], findings))
    if split not in layout.folders:
        raise RequestError(
            f"`{layout.root}` has neither a list `ImageSets/Main/{split}.txt` nor a folder `{split}` of annotation "
            f"files. {nearest(split, layout.folders)}"
        )
    place = layout.folders[split]
    return [_entry(layout, place, path) for path in files_below(place, _XML)]


def all_pages(layout: Layout) -> list[Path]:
    """Every annotation file that some split has, once, in the same order on every machine."""
    silent = Findings("any")
    splits = layout.lists or layout.folders
    return list(dict.fromkeys(entry.page for split in splits for entry in entries(layout, split, silent)))


def unread(layout: Layout) -> tuple[list[Path], list[Path]]:
    """Annotation files that no list names, and images of an undivided or divided folder without an annotation file."""
    pages = set(all_pages(layout))
    if layout.lists:
        return [path for path in files_below(layout.pages, _XML) if path not in pages], []
    named = {(page.parent, page.stem) for page in pages}
    images: list[Path] = []
    for folder in dict.fromkeys((layout.images, *layout.folders.values())):
        stems = {stem for _, stem in named}
        images += [path for path in files_below(folder, IMAGE_ENDINGS) if path.stem not in stems]
    return [], list(dict.fromkeys(images))


def find_image(entry: Entry, page: Element, listing: Listing) -> Path:
    """The image of an annotation file: of its name, or else of the `<filename>` that it states.

    Args:
        entry: What the set calls it.
        page: The annotation.
        listing: Looks files up.
    """
    # the tag often holds a path of the machine the labels were made on
    tagged = (page.findtext("filename") or "").replace("\\", "/").rsplit("/", 1)[-1].strip()
    stem, _, ending = tagged.rpartition(".")
    for folder in entry.image_folders:
        path = listing.find(folder, entry.key.rpartition("/")[2], IMAGE_ENDINGS)
        if path is not None:
            return path
    for folder in entry.image_folders:
        path = listing.find(folder, stem, {f".{ending.lower()}"}) or listing.find(folder, tagged, IMAGE_ENDINGS)
        if tagged and path is not None:
            return path
    return entry.image_folders[0] / (tagged or f"{entry.key}.jpg")


def _child(root: Path, names: tuple[str, ...]) -> Path | None:
    """The folder in `root` with the first of these names, in capitals or not."""
    folders = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir() and not hidden(path)}
    return next((folders[name] for name in names if name in folders), None)


def _entry(layout: Layout, place: Path, path: Path) -> Entry:
    """Entry of an annotation file that no list names."""
    folders = path.relative_to(place).parent.parts
    inside = Path(*(name for name in folders if name.lower() not in _PAGES))
    split = place.name if place.name in _FOLDERS else "."
    beside = (path.parent, path.parent / "images", path.parent.parent / "images")
    apart = (layout.images / split / inside, layout.images / inside, layout.root / split / "images")
    above = (layout.root / split, path.parent.parent) if path.parent != layout.root else ()
    return Entry((inside / path.stem).as_posix(), path, tuple(dict.fromkeys((*beside, *apart, *above))))


def _listed(layout: Layout, path: Path, findings: Findings) -> Iterator[Entry]:
    listing = Listing()
    keys: set[str] = set()
    for number, line in enumerate(read_lines(path), 1):
        if not line:
            continue
        entry = next((one for one in _read_as(layout, line, listing)), None)
        if entry is None:
            key = next(_keys(line))
            what = f"`{line}` is listed, and there is no such file `{layout.pages / f'{key}.xml'}`"
            findings.note("missing annotation", f"`{path}`, line {number}", what, "dropped")
        elif entry.key in keys:
            findings.note("duplicate image", f"`{path}`, line {number}", f"`{entry.key}` was listed before", "dropped")
        else:
            keys.add(entry.key)
            yield entry


def _read_as(layout: Layout, line: str, listing: Listing) -> Iterator[Entry]:
    """What a line may name, as far as its annotation file is there."""
    for key in _keys(line):
        folder, _, stem = key.rpartition("/")
        for home in dict.fromkeys((layout.pages / folder, layout.pages)):
            page = listing.find(home, stem, _XML)
            if page is not None:
                homes = dict.fromkeys((layout.images / folder, layout.images, home))
                name = page.stem if home == layout.pages else f"{folder}/{page.stem}"
                yield Entry(name, page, tuple(homes))


def _keys(line: str) -> Iterator[str]:
    """What a line may mean, likeliest first: the whole, less a flag of a class, the first word; less an ending each."""
    words = line.replace("\\", "/").split()
    whole = line.replace("\\", "/")
    texts = [whole]
    if len(words) > 1:
        texts = [whole, whole.rpartition(words[-1])[0].strip(), words[0]] if words[-1] in _FLAGS else [whole, words[0]]
    for text in texts:
        text = text.removeprefix("./")
        yield text
        stem, dot, ending = text.rpartition(".")
        if dot and f".{ending.lower()}" in IMAGE_ENDINGS | _XML:
            yield stem
