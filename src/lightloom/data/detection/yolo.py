"""Sets in the form of YOLO: a text file per image, a line per box, in shares of the image's sides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightloom.data.detection.checks import Findings, make_record, read_headers, usable
from lightloom.data.detection.records import DetectionSet, OnInvalid, Problem, Record
from lightloom.data.detection.texts import DamagedFileError
from lightloom.data.detection.whites import one_white
from lightloom.data.detection.yolo_places import LabelFiles, named_splits, split_images
from lightloom.data.detection.yolo_rows import KeyPoints, Row, boxes_of, check_poses, read_rows
from lightloom.data.detection.yolo_settings import class_names, read_settings


def read_yolo(
    root: Path,
    split: str,
    *,
    classes: Sequence[str] | None = None,
    on_invalid: OnInvalid = "skip",
    decode: bool = False,
) -> DetectionSet:
    """Read one split of a set in YOLO form.

    Images are where `data.yaml`, or another yaml file with `names`, says: a folder, a text file that lists images, or a
    list of these; or else in `images/<split>`, `<split>/images`, `<split>` or `<split>.txt`. The label file of an image
    has its path with `images` replaced by `labels`, or lies beside it; its ending may be in capitals. An image without
    a label file, or with an empty one, has no boxes; how many have none is said. Boxes refer to an image as its EXIF
    tag turns it, as in the programs that train on this form.

    A line is a label with a box (centre and size) or a polygon, whose extent is the box; where `kpt_shape` says that
    keypoints follow the box, they are passed over.

    Args:
        root: The folder that holds `images` and `labels`.
        split: `train`, `val`, `test`, or another name that the folder uses.
        classes: Class names in the order of the labels; where `data.yaml` or `classes.txt` lists them, they must be
            the same.
        on_invalid: Drop or mend what is flawed and note it, or fail.
        decode: Decode every image to find those cut short.

    Raises:
        RequestError: A folder is missing, a file is no text, the class list is missing or does not match, no image can
            be used, more is lost than kept, every row may be a pose, or `on_invalid` is `fail` and there is one.
    """
    findings = Findings(on_invalid)
    settings = read_settings(root)
    names, points = class_names(root, settings, classes), settings.key_points()
    images = split_images(root, settings, split, findings)
    headers = read_headers(images, decode=decode)
    files = LabelFiles(root)
    labels = {image: files.find(image, findings) for image in images}
    rows = _rows(labels, points, findings)
    where = f"The split `{split}` of `{root}`"
    if points is None:
        check_poses([row for some in rows.values() for row in some], where, findings)
    records: list[Record] = []
    turned: list[Path] = []
    for path, header in zip(images, headers, strict=True):
        if usable(header, f"`{path}`", findings) and path in rows:
            turned += [path] if header.orientation != 1 else []
            boxes = boxes_of(rows[path], header.turned(header.orientation), len(names), points, findings)
            number = len(records) + 1
            records.append(make_record(path, path.stem, number, header, boxes, findings, header.orientation))
    for path, why in files.orphans(images, {file for file in labels.values() if file is not None}):
        findings.note("missing image" if why.startswith("no image") else "unread labels", f"`{path}`", why, "dropped")
    _remark_bare(where, images, [image for image, file in labels.items() if file is None], findings)
    if turned:
        what = f"{len(turned)} images are turned as their EXIF tag says; the first is `{turned[0]}`"
        findings.remark("orientation", where, what, "turned")
    findings.settle(where, records)
    return DetectionSet(f"{root.name} {split}", names, one_white(records, where, findings), tuple(findings.problems))


def yolo_splits(root: Path) -> tuple[str, ...]:
    """Those of `train`, `val` and `test` that a set has; `train` alone where it names none and is not divided."""
    return tuple(split for split, there in named_splits(root, read_settings(root)).items() if there) or ("train",)


def absent_splits(root: Path) -> tuple[Problem, ...]:
    """Splits that the yaml file names and that are not there, as a problem each."""
    settings = read_settings(root)
    return tuple(
        Problem("missing split", f"`{settings.file}`", f"it names `{split}`, which is not there", "dropped")
        for split, there in named_splits(root, settings).items()
        if not there and split != "train"
    )


def _rows(labels: dict[Path, Path | None], points: KeyPoints | None, findings: Findings) -> dict[Path, list[Row]]:
    """The rows of each image; one whose label file is no text is left out, since what is in it is not known."""
    rows: dict[Path, list[Row]] = {}
    owners: dict[Path, Path] = {}
    for image, file in labels.items():
        if file is not None and file in owners:
            what = f"its labels, `{file}`, are those of `{owners[file]}` too"
            findings.note("shared labels", f"`{image}`", what, "kept")
        try:
            rows[image] = [] if file is None else read_rows(file, points, findings)
        except DamagedFileError as error:
            findings.note("damaged file", f"`{file}`", str(error).rstrip("."), "dropped")
        if file is not None:
            owners.setdefault(file, image)
    return rows


def _remark_bare(where: str, images: Sequence[Path], bare: Sequence[Path], findings: Findings) -> None:
    """Say how many images have no label file, which is right for pictures of nothing and nothing else."""
    if bare:
        what = f"{len(bare)} of {len(images)} images have no label file, so no boxes; the first is `{bare[0]}`"
        findings.remark("no labels", where, what, "kept")
