"""Detection sets by name, in three splits: the synthetic one, known ones on disk, and the user's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import torch

from lightloom.common.errors import RequestError, nearest
from lightloom.common.seeds import named_generator, named_seed
from lightloom.data.detection.coco import read_coco
from lightloom.data.detection.coco_layout import WHOLE, coco_parts
from lightloom.data.detection.nuscenes2d import read_nuscenes2d
from lightloom.data.detection.records import DetectionSet, DetectionSplits, OnInvalid, Problem
from lightloom.data.detection.shapes import shapes
from lightloom.data.detection.voc import read_voc, voc_classes, voc_leftovers, voc_splits
from lightloom.data.detection.whites import same_white
from lightloom.data.detection.yolo import absent_splits, read_yolo, yolo_splits
from lightloom.data.detection.yolo_places import SPLITS
from lightloom.data.files import contents, given_folder

DETECTION_SETS: Mapping[str, str] = MappingProxyType(
    {
        "shapes": "Shapes (synthetic)",
        "bccd": "BCCD: blood cells under a microscope (MIT)",
        "coco": "COCO 2017 (annotations CC BY 4.0)",
        "coco_tiny": "80 + 80 images of COCO 2017",
        "nuscenes2d": "nuScenes, boxes in the images (CC BY-NC-SA 4.0)",
    }
)
"""What `load_detection` knows by name, and what each is called. `voc:PATH`, `yolo:PATH`, `coco:PATH` are one's own."""

_BCCD = ("RBC", "WBC", "Platelets")
_FORMS = ("voc", "yolo", "coco", "nuscenes")
_HELD_BACK = 5  # one in so many images becomes validation, or test, where the set has none
_MOST_HELD_BACK = 5000
_TEST_SEED = 0  # the test images are the same in every run
Parts = dict[str, DetectionSet]
"""What a set brings: `train`, and perhaps `val` and `test`."""


@dataclass(frozen=True)
class ReadOptions:
    """How images and annotations on disk are read."""

    on_invalid: OnInvalid = "skip"
    """What to do with flawed images and annotations: drop or mend them and note it, or fail."""
    decode: bool = False
    """Decode every image to find torn ones, in the place of looking at headers alone."""
    white: float | None = None
    """Value that is white in images of more than 8 bits; None takes the least depth of 8, 10, 12, 14 or 16 bits that
    holds every value of the set, and says so among the problems."""


@dataclass(frozen=True)
class ShapesOptions:
    """What is drawn for the set `shapes`."""

    count: int = 1000
    """Training images; a fifth as many are added for validation and for the test."""
    size: int | tuple[int, int] = 128
    """Pixels on each side of an image, or (height, width)."""


_READING, _DRAWING = ReadOptions(), ShapesOptions()


def load_detection(
    name: str,
    root: Path | None = None,
    *,
    seed: int = 0,
    limit: int | None = None,
    reading: ReadOptions = _READING,
    drawing: ShapesOptions = _DRAWING,
) -> DetectionSplits:
    """A detection set in three splits.

    Where a set has no test split, its validation split is the test and validation is drawn from the training images
    (a fifth, at most 5000), as is usual for COCO; where it has neither, both are drawn. The same images are drawn on
    every machine, wherever the set lies; where it names no split at all, that is among its problems. So are images that
    are in two splits.

    Args:
        name: One of `DETECTION_SETS`, or `voc:PATH`, `yolo:PATH` or `coco:PATH` for a folder of one's own.
        root: Folder that holds the sets' folders (`bccd/`, ...); else `LIGHTLOOM_DATA`.
        seed: Draws what goes to validation and what a `limit` keeps, and the shapes; never the test images.
        limit: Keep at most so many training images; a larger limit keeps those of a smaller one.
        reading: How images and annotations on disk are read.
        drawing: How many images of `shapes` are drawn, and how large.

    Raises:
        RequestError: The name is unknown, a number is out of range, or files are missing or unfit.
    """
    if limit is not None and limit < 1:
        raise RequestError(f"`limit` is {limit}; keep at least 1 training image.")
    if reading.white is not None and not reading.white > 0:
        raise RequestError(f"`white` is {reading.white}; give the value of the brightest pixel, above 0.")
    if name == "shapes":
        parts = _shapes(drawing.count, drawing.size, seed)
    else:
        form, folder = _find(name, root)
        parts = same_white(_READERS[form](folder, reading.on_invalid, reading.decode), name, reading.white)
        if "train" not in parts:
            raise RequestError(
                f"`{name}` has no split `train`; it has {', '.join(f'`{part}`' for part in parts) or 'none'}. "
                f"{contents(folder)}"
            )
        _check_shared(parts, name, reading.on_invalid)
        parts = _with_problems(parts, tuple(_similar(name, parts["train"].classes)))
    return _divided(name, parts, seed, limit)


def _find(name: str, root: Path | None) -> tuple[str, Path]:
    """Form and folder of a set that is on disk."""
    form, colon, path = name.partition(":")
    if colon and form in _FORMS:
        folder = Path(path).expanduser()
        if folder.is_file():
            raise RequestError(f"`{name}` names a file; give the folder that holds it: `{form}:{folder.parent}`.")
        if not path or not folder.is_dir():
            raise RequestError(f"`{name}` names the folder `{folder}`, which is missing. Give `{form}:` and its path.")
        return form, folder
    if name not in DETECTION_SETS:
        available = (*DETECTION_SETS, *(f"{own}:PATH" for own in _FORMS))
        raise RequestError(f"There is no detection set `{name}`. {nearest(name, available)}")
    place = given_folder(name, root)
    tables = given_folder("nuscenes", root) if name == "nuscenes2d" else None
    if tables is not None and tables.is_dir() and place is not None and not place.is_dir():
        return "nuscenes", tables
    if place is None:
        raise RequestError(
            f"{DETECTION_SETS[name]} is read from a folder `{name}/`, and no folder that holds it is named: set "
            "`LIGHTLOOM_DATA` or `data.root`, or give `--data`."
        )
    if not place.is_dir():
        raise RequestError(
            f"{DETECTION_SETS[name]} was looked for in `{place}`, which is missing. Put its files there, or name "
            f"the folder that holds `{name}/` by `LIGHTLOOM_DATA`, `data.root` or `--data`."
        )
    return ("bccd" if name == "bccd" else "coco"), place


def _shapes(count: int, size: int | tuple[int, int], seed: int) -> Parts:
    held_back = -(-count // _HELD_BACK)
    return {
        "train": shapes(count, size, named_seed(seed, "data", "shapes", "train")),
        "val": shapes(held_back, size, named_seed(seed, "data", "shapes", "validation")),
        "test": shapes(held_back, size, named_seed(_TEST_SEED, "data", "shapes", "test")),
    }


def _bccd(folder: Path, on_invalid: OnInvalid, decode: bool) -> Parts:
    return {
        split: read_voc(folder, split, classes=_BCCD, on_invalid=on_invalid, decode=decode)
        for split in ("train", "val", "test")
    }


def _voc(folder: Path, on_invalid: OnInvalid, decode: bool) -> Parts:
    splits, classes = voc_splits(folder), voc_classes(folder)
    names: dict[str, tuple[str, ...]] = dict(SPLITS)
    if "train" not in splits and "trainval" in splits:
        names = {"train": ("trainval",), "val": (), "test": ("test",)}  # its validation images are among the others
    remarks = voc_leftovers(folder)
    if len(splits) == 1 and not any(splits[0] in aliases for aliases in names.values()):
        names = {"train": splits}  # of a folder that is not divided, or the one list of it, whatever it is called
        if not any(problem.kind == "no split" for problem in remarks):
            remarks += (
                Problem("no split", f"`{folder}`", f"it has one list, `{splits[0]}`, which is all of it", "kept"),
            )
    parts: Parts = {}
    for part, aliases in names.items():
        split = next((name for name in aliases if name in splits), None)
        if split is not None:
            parts[part] = read_voc(folder, split, classes=classes, on_invalid=on_invalid, decode=decode)
    if "train" not in parts:
        listed = ", ".join(f"`{name}`" for name in splits)
        raise RequestError(f"`{folder}` has no split `train`; it has the lists {listed}. Name one of them `train`.")
    return _with_problems(parts, remarks)


def _yolo(folder: Path, on_invalid: OnInvalid, decode: bool) -> Parts:
    parts = {split: read_yolo(folder, split, on_invalid=on_invalid, decode=decode) for split in yolo_splits(folder)}
    return _with_problems(parts, absent_splits(folder))


def _coco(folder: Path, on_invalid: OnInvalid, decode: bool) -> Parts:
    parts: Parts = {}
    for split, part in coco_parts(folder).items():
        classes = parts["train"].classes if "train" in parts else None
        dataset = read_coco(part.file, part.images, classes=classes, on_invalid=on_invalid, decode=decode)
        if split == WHOLE:
            what = f"no file is called after a split, so all images of `{part.file}` are one"
            dataset = replace(dataset, problems=(*dataset.problems, Problem("no split", f"`{folder}`", what, "kept")))
        parts["train" if split == WHOLE else split] = dataset
    return parts


def _similar(name: str, classes: tuple[str, ...]) -> Iterator[Problem]:
    """Classes that differ in capitals or spaces only, which may be one that was written in two ways."""
    spellings: dict[str, list[str]] = {}
    for one in classes:
        spellings.setdefault("".join(one.casefold().split()), []).append(one)
    for several in spellings.values():
        if len(several) > 1:
            listed = ", ".join(f"`{one}`" for one in several)
            yield Problem("similar classes", f"`{name}`", f"{listed} are as many classes: are they one?", "kept")


def _with_problems(parts: Parts, problems: tuple[Problem, ...]) -> Parts:
    """The same, with more problems of the whole, which stay with its first part."""
    first = next(iter(parts))
    return {**parts, first: replace(parts[first], problems=parts[first].problems + problems)} if problems else parts


def _check_shared(parts: Parts, name: str, on_invalid: OnInvalid) -> None:
    """Add a problem to each split that has images of one before it."""
    owners: dict[Path, str] = {}
    for split, part in parts.items():
        shared = [record.image for record in part.records if record.image in owners]
        if shared:
            what = (
                f"{len(shared)} images of `{split}` are in `{owners[shared[0]]}` too, the first is `{shared[0]}`: what "
                "is measured on them says little of new images"
            )
            if on_invalid == "fail":
                raise RequestError(f"`{name}`: {what} (shared image). Divide them, or read with `on_invalid=skip`.")
            problem = Problem("shared image", f"`{name}`", what, "kept")
            parts[split] = replace(part, problems=(*part.problems, problem))
        owners |= {record.image: split for record in part.records if record.image not in owners}


_READERS: Mapping[str, Callable[[Path, OnInvalid, bool], Parts]] = {
    "bccd": _bccd,
    "voc": _voc,
    "yolo": _yolo,
    "coco": _coco,
    "nuscenes": read_nuscenes2d,
}


def _divided(name: str, parts: Parts, seed: int, limit: int | None) -> DetectionSplits:
    train, validation, test = parts["train"], parts.get("val"), parts.get("test")
    label = name.partition(":")[0]  # what is drawn depends on the images, and not on where they lie
    undivided = any(problem.kind == "no split" for problem in train.problems)
    if test is None and validation is not None:
        validation, test = None, validation
    if test is None:
        test, train = _drawn(train, named_generator(_TEST_SEED, "data", label, "test"))
    if validation is None:
        validation, train = _drawn(train, named_generator(seed, "data", label, "validation"))
    if undivided:
        what = (
            f"{len(test)} images were drawn for the test, the same in every run, and {len(validation)} for validation, "
            f"which `seed` draws; {len(train)} are left to learn from"
        )
        train = replace(train, problems=(*train.problems, Problem("drawn split", f"`{name}`", what, "kept")))
    if limit is not None and limit < len(train):
        order = torch.randperm(len(train), generator=named_generator(seed, "data", label, "limit"))
        train = _part(train, order[:limit])
    return DetectionSplits(name, train.classes, train, validation, test)


def _drawn(whole: DetectionSet, generator: torch.Generator) -> tuple[DetectionSet, DetectionSet]:
    """A fifth of the images, and the rest with the problems of the whole."""
    count = min(max(len(whole) // _HELD_BACK, 1), _MOST_HELD_BACK)
    if len(whole) <= count:
        raise RequestError(f"`{whole.name}` has {len(whole)} images; at least 2 are needed to hold one back.")
    order = torch.randperm(len(whole), generator=generator)
    return whole.subset(order[:count].sort().values.tolist()), _part(whole, order[count:])


def _part(whole: DetectionSet, places: torch.Tensor) -> DetectionSet:
    return replace(whole.subset(places.sort().values.tolist()), problems=whole.problems)
