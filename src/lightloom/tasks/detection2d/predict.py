"""Objects in images of a user's own."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, NamedTuple

import torch

from lightloom.common.errors import RequestError, WorkError
from lightloom.common.files import reserve, write_bytes, write_json
from lightloom.common.marks import claim
from lightloom.common.processes import best_device
from lightloom.common.progress import follow
from lightloom.data.detection import DetectionSet, Record, letterbox, read_pixels
from lightloom.data.detection.checks import read_headers
from lightloom.data.detection.pictures import Header, read_header, white_level
from lightloom.report.pictures.boxes2d import annotate
from lightloom.tasks.base import Interface, Prediction
from lightloom.tasks.detection2d.boxes import Detections
from lightloom.tasks.detection2d.config import Detection2DConfig, DetectionDataConfig

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_JPEG = 92


def predict_images(
    detector: Any, config: Detection2DConfig, interface: Interface, request: Prediction
) -> dict[str, Any]:
    """Find objects in images; writes `detections.json` and an annotated copy of each image.

    Args:
        detector: A trained detector.
        config: That it was trained with.
        interface: What its weights are for.
        request: Its inputs are image files, or folders of them.

    Returns:
        As in `detections.json`: `classes`, `case`, `images` with `file`, `annotated` and `found`, `failed` with the
        files that could not be read, and why, and `notes` with how images of more than 8 bits were taken.

    Raises:
        RequestError: There is no such file, scenes are named by `source`, or something that was not written here is in
            the place of an annotated copy.
        WorkError: No image at all could be read.
    """
    if request.source:
        raise RequestError("`--scenes` is for multi-camera runs; the run in `--model` looks at images: name files.")
    detector.to(best_device(request.device))
    view = _View(detector, tuple(interface["classes"]), config.data, request.threshold)
    paths = list(dict.fromkeys(_files([Path(entry) for entry in request.inputs])))
    names, out = _names(paths), request.out
    _spare(paths, [out / name for name in names.values()])
    claim(out, "detections")
    reserve(out / "detections.json", *(out / name for name in names.values()))
    headers = dict(zip(paths, read_headers(paths, decode=True), strict=True))
    white, notes = _white(headers.values(), config.data.white or interface.get("white"))
    images: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    with follow("detect", len(paths)) as report:
        for number, path in enumerate(paths, 1):
            try:
                images.append(_one(view, _record(path, white, headers[path]), out / names[path]))
            except WorkError as error:
                failed.append({"file": str(path), "why": str(error)})
            report(number, path.name)
    result = {"classes": list(view.classes), "case": request.case, "images": images, "failed": failed, "notes": notes}
    write_json(out / "detections.json", result)
    if not images:
        raise WorkError(f"None of the {len(failed)} images could be read. The first: {failed[0]['why']}")
    return result


class _View(NamedTuple):
    """What looks at each image, and how."""

    detector: Any
    classes: tuple[str, ...]
    data: DetectionDataConfig
    threshold: float


def _files(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in _ENDINGS)
            if not inside:
                raise RequestError(f"The folder `{path}` holds no image; known are {', '.join(_ENDINGS)}.")
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise RequestError(f"There is no file `{path}`.")


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """A name of its own for each annotated copy."""
    names: dict[Path, str] = {}
    for path in paths:
        numbered = (f"{path.stem}-{number}.jpg" for number in count(2))
        names[path] = next(name for name in chain([f"{path.stem}.jpg"], numbered) if name not in names.values())
    return names


def _spare(paths: Sequence[Path], copies: Sequence[Path]) -> None:
    """Refuse to write over what was given."""
    originals = {path.resolve(): path for path in paths}
    for copy in copies:
        if copy.resolve() in originals:
            raise RequestError(
                f"The annotated copy `{copy}` would take the place of that image; choose another folder with `--out`."
            )


def _one(view: _View, record: Record, to: Path) -> dict[str, Any]:
    """Look at one image, write it with its detections, and list them."""
    height, width = view.data.height, view.data.width
    letterboxed = letterbox(DetectionSet("given", view.classes, (record,)), height, width)
    with torch.no_grad():
        output = view.detector(letterboxed.images[torch.tensor([0])].to(view.detector.mean.device))
    raw = view.detector.detect(output, (height, width))[0]
    detections = Detections(*(part.cpu() for part in raw)).above(view.threshold)
    detections = detections.within(float(letterboxed.scales[0]), record.width, record.height)
    boxes, labels, scores = detections.boxes, detections.labels.tolist(), detections.scores.tolist()
    stream = io.BytesIO()
    pixels = read_pixels(record).numpy()
    annotate(pixels, boxes.numpy(), labels, scores, view.classes).save(stream, "JPEG", quality=_JPEG)
    write_bytes(to, stream.getvalue())
    rows = zip(boxes.tolist(), labels, scores, strict=True)
    return {
        "file": str(record.image),
        "annotated": to.name,
        "width": record.width,
        "height": record.height,
        "found": [
            {"box": box, "class": view.classes[label], "label": label, "score": score} for box, label, score in rows
        ],
    }


def _record(path: Path, white: float | None = None, header: Header | None = None) -> Record:
    """An image without boxes, turned as its camera says.

    Args:
        path: The file.
        white: Of an image of more than 8 bits; None takes the least depth that holds its values.
        header: Of the file, where it was read before.

    Raises:
        WorkError: It cannot be read.
    """
    header = header or read_header(path)
    if header.trouble is not None:
        raise WorkError(f"`{path}`: {header.trouble[1]} ({header.trouble[0]}).")
    none = torch.zeros(0, dtype=torch.int64)
    width, height = header.turned(header.orientation)
    level = None if header.depth is None else white or white_level([header.depth])
    return Record(
        path,
        1,
        path.stem,
        width,
        height,
        torch.zeros(0, 4),
        none,
        none.bool(),
        orientation=header.orientation,
        white=level,
    )


def _white(headers: Iterable[Header], standard: float | None) -> tuple[float | None, list[str]]:
    """What is white in the images of more than 8 bits, and a sentence that says it.

    Args:
        headers: Of all images.
        standard: What was white in those that the network learned from.
    """
    depths = [header.depth for header in headers if header.depth is not None]
    if not depths:
        return None, []
    white = standard or white_level(depths)
    peak = max(depth.peak for depth in depths)
    source = "as in the images that the network learned from" if standard else "the least depth that holds all of them"
    beyond = f"; the brightest is {peak:g}, so that it and others are cut off" if standard and peak > standard else ""
    return white, [f"{len(depths)} images hold more than 8 bits: white is {white:g}, {source}{beyond}"]
