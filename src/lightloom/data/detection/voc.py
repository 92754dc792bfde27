"""Sets in the form of the PASCAL VOC challenge: a list of images per split, an XML file per image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from lightloom.common.errors import RequestError, nearest
from lightloom.data.detection.checks import Findings, Found, make_record, read_headers, usable
from lightloom.data.detection.records import DetectionSet, Flaws, Record

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".JPEG", ".PNG")
_SIDES = ("xmin", "ymin", "xmax", "ymax")


class _Page(NamedTuple):
    """One annotation file: its root, where it is, its image."""

    key: str
    file: Path
    root: Element
    image: Path


def read_voc(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    flaws: Flaws = "skip",
    decode: bool = False,
    one_based: bool = False,
) -> DetectionSet:
    """Read one split of a set in VOC form.

    The list `ImageSets/Main/<split>.txt` names the files `Annotations/<id>.xml`; the image is `JPEGImages/<id>.jpg`
    (or `.jpeg`, `.png`, `.bmp`), or else what the `<filename>` tag names. Objects marked `difficult` become crowds:
    as in the challenge, they are neither targets nor counted as missed. An image's size is what its file says.

    Args:
        root: The folder that holds `ImageSets`, `Annotations` and `JPEGImages`.
        split: Name of the list.
        classes: Class names in the order of the labels; by default every name in `Annotations`, sorted.
        flaws: Drop or mend what is flawed and note it, or fail.
        decode: Decode every image to find those cut short.
        one_based: Edges count pixels from 1 and the far ones are inclusive, as in the files of the challenge itself;
            else they are coordinates, as labelling tools write them.

    Raises:
        RequestError: A folder, the list or all images are missing, a file does not parse or has a DTD, or `flaws`
            is `fail` and there is one.
    """
    findings = Findings(flaws)
    annotations = _folder(root, "Annotations")
    names = tuple(classes) if classes is not None else voc_classes(root)
    pages = list(_pages(root, annotations, _listed(root, split, findings), findings))
    headers = read_headers([page.image for page in pages], decode=decode)
    records: list[Record] = []
    for page, header in zip(pages, headers, strict=True):
        if usable(header, f"`{page.file}`", findings, _stated_size(page)):
            found = _boxes(page, names, findings, one_based)
            records.append(make_record(page.image, page.key, len(records) + 1, header, found, findings))
    if not records:
        raise RequestError(f"The split `{split}` of `{root}` has no usable image; check its list and `JPEGImages`.")
    return DetectionSet(f"{root.name} {split}", names, tuple(records), tuple(findings.problems))


def voc_classes(root: Path) -> tuple[str, ...]:
    """Every class name in the `Annotations` of a set, sorted.

    Raises:
        RequestError: The folder is missing, a file does not parse, or there is no object.
    """
    files = sorted(_folder(root, "Annotations").glob("*.xml"))
    found = {_text(item, "name", path) for path in files for item in parse_xml(path).findall("object")}
    if not found:
        raise RequestError(f"No file in `{root / 'Annotations'}` names an object; give `classes`.")
    return tuple(sorted(found))


def voc_splits(root: Path) -> tuple[str, ...]:
    """Names of the lists in `ImageSets/Main`, sorted. Raises `RequestError` where the folder is missing."""
    return tuple(sorted(path.stem for path in _folder(root, "ImageSets/Main").glob("*.txt")))


def parse_xml(path: Path) -> Element:
    """The root of an XML file. A document type definition, and with it every entity, is refused.

    Raises:
        RequestError: It cannot be read, does not parse (names the line), or has a DTD.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(*_: object) -> None:
        raise RequestError(f"`{path}`, line {parser.CurrentLineNumber}: a DTD is not read; remove the DOCTYPE.")

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda tag, attributes: builder.start(tag, attributes)
    parser.EndElementHandler = lambda tag: builder.end(tag)
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise RequestError(f"`{path}`, line {error.lineno}: not XML: {expat.ErrorString(error.code)}.") from None
    except OSError as error:
        raise RequestError(f"Cannot read `{path}`: {error.strerror}.") from None
    return builder.close()


def _folder(root: Path, name: str) -> Path:
    folder = root / name
    if not folder.is_dir():
        raise RequestError(f"Missing: the folder `{folder}`. A set in VOC form has one; name the folder above it.")
    return folder


def _listed(root: Path, split: str, findings: Findings) -> list[str]:
    path = _folder(root, "ImageSets/Main") / f"{split}.txt"
    if not path.is_file():
        raise RequestError(f"There is no list `{path}`. {nearest(split, voc_splits(root))}")
    keys: dict[str, None] = {}
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        words = line.split()
        if words and words[0] in keys:
            findings.note("duplicate image", f"`{path}`, line {number}", f"`{words[0]}` was listed before", "dropped")
        if words:
            keys[words[0]] = None
    return list(keys)


def _pages(root: Path, annotations: Path, keys: list[str], findings: Findings) -> list[_Page]:
    pages = []
    for key in keys:
        file = annotations / f"{key}.xml"
        if not file.is_file():
            findings.note("missing annotation", f"`{file}`", f"`{key}` is listed and has no such file", "dropped")
            continue
        page = parse_xml(file)
        pages.append(_Page(key, file, page, _image(root / "JPEGImages", key, page)))
    return pages


def _image(folder: Path, key: str, page: Element) -> Path:
    for ending in _ENDINGS:
        if (folder / f"{key}{ending}").is_file():
            return folder / f"{key}{ending}"
    # the tag often holds a path of the machine the labels were made on
    tagged = (page.findtext("filename") or "").replace("\\", "/").rsplit("/", 1)[-1].strip()
    return folder / tagged if tagged and (folder / tagged).is_file() else folder / f"{key}.jpg"


def _stated_size(page: _Page) -> tuple[int, int] | None:
    """What the size tag says; tools that leave it out write nothing or 0."""
    words = [(page.root.findtext(f"size/{side}") or "").strip() for side in ("width", "height")]
    if not all(word.isdecimal() and int(word) for word in words):
        return None
    return int(words[0]), int(words[1])


def _boxes(page: _Page, names: tuple[str, ...], findings: Findings, one_based: bool) -> list[Found]:
    found = []
    for number, item in enumerate(page.root.findall("object"), 1):
        where = f"`{page.file}`, object {number}"
        name = _text(item, "name", page.file)
        if name not in names:
            findings.note("unknown class", where, f"there is no class `{name}`. {nearest(name, names)}", "dropped")
            continue
        sides = [_number(item, f"bndbox/{side}", where) for side in _SIDES]
        box = (sides[0] - one_based, sides[1] - one_based, sides[2], sides[3])
        crowd = (item.findtext("difficult") or "0").strip() == "1"
        found.append(Found(where, box, names.index(name), crowd))
    return found


def _text(item: Element, tag: str, path: Path) -> str:
    text = (item.findtext(tag) or "").strip()
    if not text:
        raise RequestError(f"`{path}`: an object has no `<{tag}>`; give it one.")
    return text


def _number(item: Element, tag: str, where: str) -> float:
    text = item.findtext(tag)
    try:
        return float(text or "")
    except ValueError:
        raise RequestError(f"{where}: `<{tag}>` is {text!r}; give a number.") from None
