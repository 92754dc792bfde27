"""Sets in the form of YOLO: a text file per image, a line per box, in shares of the image's sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError
from lightloom.data.detection.checks import (
    Findings,
    Found,
    Header,
    make_record,
    match_classes,
    read_headers,
    usable,
)
from lightloom.data.detection.records import DetectionSet, Flaws, Record

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
_SPLITS = {"train": ("train",), "val": ("val", "valid", "validation"), "test": ("test",)}


def read_yolo(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    flaws: Flaws = "skip",
    decode: bool = False,
) -> DetectionSet:
    """Read one split of a set in YOLO form.

    Images are where `data.yaml` says, or in `images/<split>`, `<split>/images` or `images`; the label file of an image
    has its path with the last `images` replaced by `labels`. An image without a label file, or with an empty one, has
    no boxes. A line is a label with a box (centre and size) or a polygon, whose extent is the box.

    Args:
        root: The folder that holds `images` and `labels`.
        split: `train`, `val`, `test`, or another name that the folder uses.
        classes: Class names in the order of the labels; where `data.yaml` or `classes.txt` lists them, they must be
            the same.
        flaws: Drop or mend what is flawed and note it, or fail.
        decode: Decode every image to find those cut short.

    Raises:
        RequestError: A folder is missing, a line does not parse (file and line are named), the class list is missing
            or does not match, no image can be used, or `flaws` is `fail` and there is one.
    """
    findings = Findings(flaws)
    page = _settings(root)
    names = _classes(root, page, classes)
    images = _images(root, page, split)
    headers = read_headers(images, decode=decode)
    records: list[Record] = []
    for path, header in zip(images, headers, strict=True):
        if usable(header, f"`{path}`", findings):
            boxes = _boxes(label_file(path), header, names, findings)
            records.append(make_record(path, path.stem, len(records) + 1, header, boxes, findings))
    _note_orphans(images, findings)
    if not records:
        raise RequestError(f"The split `{split}` of `{root}` has no usable image.")
    return DetectionSet(f"{root.name} {split}", names, tuple(records), tuple(findings.problems))


def yolo_splits(root: Path) -> tuple[str, ...]:
    """Which of `train`, `val` and `test` a set has."""
    page = _settings(root)
    return tuple(split for split in _SPLITS if _place(root, page, split) is not None)


def label_file(image: Path) -> Path:
    """Where the boxes of an image are."""
    parts = list(image.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _settings(root: Path) -> Mapping[str, Any]:
    """What `data.yaml` says; nothing where there is none."""
    import yaml

    path = root / "data.yaml"
    if not path.is_file():
        return {}
    try:
        page = yaml.safe_load(path.read_text())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RequestError(f"`{path}`, line {line}: not YAML: {error.problem}.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RequestError(f"`{path}` is not YAML: {error}.") from None
    if not isinstance(page, dict):
        raise RequestError(f"`{path}` holds no keys; give `names`, and where the images are.")
    return page


def _classes(root: Path, page: Mapping[str, Any], asked: Sequence[str] | None) -> tuple[str, ...]:
    names, listing = page.get("names"), root / "classes.txt"
    if isinstance(names, list):
        return match_classes([str(name) for name in names], asked, str(root / "data.yaml"))
    if isinstance(names, dict):
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise RequestError(f"`{root / 'data.yaml'}`: number the `names` 0 ... {len(names) - 1}, each once.")
        return match_classes([str(names[label]) for label in range(len(names))], asked, str(root / "data.yaml"))
    if listing.is_file():
        lines = [line.strip() for line in listing.read_text().splitlines()]
        return match_classes([line for line in lines if line], asked, str(listing))
    if asked is None:
        raise RequestError(f"`{root}` has no class list; give `classes`, or `names` in `data.yaml`, or `classes.txt`.")
    return match_classes(list(asked), None, "classes")


def _place(root: Path, page: Mapping[str, Any], split: str) -> Path | None:
    """Folder or list file of a split's images; None where there is none."""
    names = _SPLITS.get(split, (split,))
    base = root / str(page.get("path") or ".")
    places = []
    for name in names:
        if isinstance(page.get(name), str):
            # some exporters write `../train/images` and mean `train/images`
            places += [base / page[name], root / page[name], root / page[name].removeprefix("../")]
    for name in names:
        places += [root / "images" / name, root / name / "images", root / f"{name}.txt"]
    return next((place for place in places if place.exists()), None)


def _images(root: Path, page: Mapping[str, Any], split: str) -> list[Path]:
    place = _place(root, page, split)
    if place is None:
        raise RequestError(
            f"The images of the split `{split}` were looked for in `{root / 'images' / split}`, "
            f"`{root / split / 'images'}` and by `data.yaml`; there are none."
        )
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.suffix.lower() in _ENDINGS)
    return [place.parent / line.strip() for line in place.read_text().splitlines() if line.strip()]


def _boxes(path: Path, header: Header, names: tuple[str, ...], findings: Findings) -> list[Found]:
    if not path.is_file():
        return []
    found = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        where, words = f"`{path}`, line {number}", line.split()
        if not words:
            continue
        label, sides = _numbers(words, where)
        if not 0 <= label < len(names):
            what = f"there is no class {label}; {len(names)} classes allow 0 ... {len(names) - 1}"
            findings.note("unknown class", where, what, "dropped")
            continue
        x0, y0, x1, y1 = _extent(sides)
        box = (x0 * header.width, y0 * header.height, x1 * header.width, y1 * header.height)
        found.append(Found(where, box, label))
    return found


def _numbers(words: list[str], where: str) -> tuple[int, list[float]]:
    if len(words) != 5 and (len(words) < 7 or len(words) % 2 == 0):
        raise RequestError(f"{where}: {len(words)} numbers; give a label with a box of 4, or 3 and more points.")
    try:
        label, sides = float(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        raise RequestError(f"{where}: {' '.join(words[:5])!r} is not all numbers.") from None
    if not label.is_integer():
        raise RequestError(f"{where}: the label is {words[0]}; give a whole number.")
    return int(label), sides


def _extent(sides: list[float]) -> tuple[float, float, float, float]:
    if len(sides) == 4:
        x, y, width, height = sides
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return min(sides[::2]), min(sides[1::2]), max(sides[::2]), max(sides[1::2])


def _note_orphans(images: list[Path], findings: Findings) -> None:
    """Label files beside those of the images that belong to none."""
    owned = {label_file(path) for path in images}
    for folder in sorted({path.parent for path in owned}):
        for path in sorted(folder.glob("*.txt")):
            if path not in owned and path.name != "classes.txt":
                findings.note("missing image", f"`{path}`", "no image has this name", "dropped")
