"""Sets written in the three usual forms, for other tools and to be read again."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from PIL import Image

from lightloom.common.errors import RequestError
from lightloom.common.files import make_folder, write_bytes, write_json, write_text
from lightloom.data.detection.records import DetectionSet, Record


def write_coco(source: DetectionSet, root: Path, split: str = "train") -> None:
    """Write images to `root/<split>` and annotations to `root/annotations/instances_<split>.json`.

    Args:
        source: Images and boxes to write.
        root: Folder of the set; it is made where it is not there.
        split: Name of the split.

    Raises:
        RequestError: Two images have one file name, or the folder cannot be written to.
        WorkError: The disk refuses.
    """
    _write_images(source, root / split)
    write_json(make_folder(root / "annotations") / f"instances_{split}.json", source.coco())


def write_voc(source: DetectionSet, root: Path, split: str = "train") -> None:
    """Write `JPEGImages`, `Annotations` and the list `ImageSets/Main/<split>.txt`.

    Crowds, which VOC has none of, become `difficult` objects.

    Further splits may be written to the same root where their file names differ. Raises as `write_coco`.

    Args:
        source: Images and boxes to write.
        root: Folder of the set; it is made where it is not there.
        split: Name of the split.
    """
    annotations = make_folder(root / "Annotations")
    _write_images(source, root / "JPEGImages")
    for record in source.records:
        page = _voc_page(record, source.classes)
        indent(page)
        write_bytes(annotations / f"{record.image.stem}.xml", tostring(page) + b"\n")
    listed = "".join(f"{record.image.stem}\n" for record in source.records)
    write_text(make_folder(root / "ImageSets" / "Main") / f"{split}.txt", listed)


def write_yolo(source: DetectionSet, root: Path, split: str = "train") -> None:
    """Write `images/<split>`, `labels/<split>` and `data.yaml`; crowds and difficult objects are left out.

    Raises as `write_coco`.

    Args:
        source: Images and boxes to write.
        root: Folder of the set; it is made where it is not there.
        split: Name of the split.
    """
    import yaml

    labels = make_folder(root / "labels" / split)
    _write_images(source, root / "images" / split)
    for record in source.records:
        write_text(labels / f"{record.image.stem}.txt", "".join(_yolo_lines(record)))
    places = {folder.name: f"images/{folder.name}" for folder in sorted((root / "images").iterdir()) if folder.is_dir()}
    write_text(root / "data.yaml", yaml.safe_dump({"names": list(source.classes), **places}, sort_keys=False))


def _write_images(source: DetectionSet, folder: Path) -> None:
    stems = {record.image.stem for record in source.records}
    if len(stems) < len(source):
        raise RequestError(f"Two images of `{source.name}` have one file name; give each its own.")
    make_folder(folder)
    for record in source.records:
        write_bytes(folder / record.image.name, _image_bytes(record))


def _image_bytes(record: Record) -> bytes:
    if record.pixels is None:
        return record.image.read_bytes()
    stream = io.BytesIO()
    Image.fromarray(record.pixels.permute(1, 2, 0).contiguous().numpy()).save(stream, format="PNG")
    return stream.getvalue()


def _voc_page(record: Record, classes: tuple[str, ...]) -> Element:
    page = Element("annotation")
    SubElement(page, "filename").text = record.image.name
    size = SubElement(page, "size")
    for tag, value in (("width", record.width), ("height", record.height), ("depth", 3)):
        SubElement(size, tag).text = str(value)
    ignored = record.crowd | record.ignored
    for box, label, difficult in zip(record.boxes.tolist(), record.labels.tolist(), ignored.tolist(), strict=True):
        item = SubElement(page, "object")
        SubElement(item, "name").text = classes[label]
        SubElement(item, "difficult").text = str(int(difficult))
        sides = SubElement(item, "bndbox")
        for tag, value in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
            SubElement(sides, tag).text = repr(value)
    return page


def _yolo_lines(record: Record) -> Iterator[str]:
    boxes = record.boxes.double()
    for (x0, y0, x1, y1), label, target in zip(
        boxes.tolist(), record.labels.tolist(), record.targets.tolist(), strict=True
    ):
        if target:
            centre = ((x0 + x1) / 2 / record.width, (y0 + y1) / 2 / record.height)
            yield f"{label} {centre[0]!r} {centre[1]!r} {(x1 - x0) / record.width!r} {(y1 - y0) / record.height!r}\n"
