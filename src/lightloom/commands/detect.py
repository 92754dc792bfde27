"""Objects in images of one's own, found by a detector of a run."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any

import torch

from lightloom.commands.detect3d import check_request, detect_moments
from lightloom.common.errors import RequestError, WorkError
from lightloom.common.files import reserve, write_bytes, write_json
from lightloom.common.marks import claim
from lightloom.common.processes import best_device
from lightloom.common.progress import follow
from lightloom.data.detection import DetectionSet, Record, letterbox, read_pixels
from lightloom.data.detection.checks import read_headers
from lightloom.data.detection.pictures import Header, read_header, white_level
from lightloom.pipeline.case_store import case_of
from lightloom.pipeline.comparison import Training
from lightloom.pipeline.detect_cases import Trained, load_case
from lightloom.pipeline.run_folder import RunFolder
from lightloom.report.pictures.boxes2d import annotate
from lightloom.tasks.detection2d import Detections

_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")
_JPEG = 92


def detect(
    given: Sequence[str],
    model: Path,
    out: Path,
    *,
    source: str = "",
    case: str = "",
    threshold: float = 0.25,
    device: str = "auto",
) -> dict[str, Any]:
    """Find objects in images, or around a vehicle at some moments, as the run in `model` does.

    See `detect_images` and `detecting3d.detect_moments`.

    Raises:
        RequestError: Scenes are named by `source` for a run that looks at images, or as those two.
    """
    if RunFolder.open(model).config.task == "detect3d":
        return detect_moments(given, model, out, source=source, case=case, threshold=threshold, device=device)
    if source:
        raise RequestError("`--scenes` is for multi-camera runs; the run in `--model` looks at images: name files.")
    return detect_images([Path(path) for path in given], model, out, case=case, threshold=threshold, device=device)


def detect_images(
    given: Sequence[Path], model: Path, out: Path, *, case: str = "", threshold: float = 0.25, device: str = "auto"
) -> dict[str, Any]:
    """Find objects in images; writes `detections.json` and an annotated copy of each image.

    Args:
        given: Image files, or folders of them.
        model: Folder of a run that detects.
        out: Folder to write to.
        case: Which of its cases looks, with its first seed; "" is the last one.
        threshold: Least score of what is told.
        device: "auto" takes a GPU where there is one; "cpu" never does.

    Returns:
        As in `detections.json`: `classes`, `case`, `images` with `file`, `annotated` and `found`, `failed` with the
        files that could not be read, and why, and `notes` with how images of more than 8 bits were taken.

    Raises:
        RequestError: There is no such run, case, device or file, the threshold is not 0 ... 1, or something that was
            not written here is in the place of an annotated copy.
        WorkError: No image at all could be read.
    """
    check_request(threshold, device)
    folder = RunFolder.open(model)
    training = case_of(folder, case)
    trained = load_case(folder, training)
    trained.detector.to(best_device(device))
    paths = list(dict.fromkeys(_files(given)))
    names = _names(paths)
    _spare(paths, [out / name for name in names.values()])
    claim(out, "detections")
    reserve(out / "detections.json", *(out / name for name in names.values()))
    headers = dict(zip(paths, read_headers(paths, decode=True), strict=True))
    white, notes = _white(headers.values(), training.config.detect.scenes.white or trained.white)
    images: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    with follow("detect", len(paths)) as report:
        for number, path in enumerate(paths, 1):
            try:
                record = _record(path, white, headers[path])
                images.append(_one(trained, training, record, out / names[path], threshold))
            except WorkError as error:
                failed.append({"file": str(path), "why": str(error)})
            report(number, path.name)
    result = {
        "classes": list(trained.classes),
        "case": training.case.name,
        "images": images,
        "failed": failed,
        "notes": notes,
    }
    write_json(out / "detections.json", result)
    if not images:
        raise WorkError(f"None of the {len(failed)} images could be read. The first: {failed[0]['why']}")
    return result


def _files(given: Sequence[Path]) -> Iterator[Path]:
    for path in given:
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


def _spare(given: Sequence[Path], copies: Sequence[Path]) -> None:
    """Refuse to write over what was given."""
    originals = {path.resolve(): path for path in given}
    for copy in copies:
        if copy.resolve() in originals:
            raise RequestError(
                f"The annotated copy `{copy}` would take the place of that image; choose another folder with `--out`."
            )


def _one(trained: Trained, training: Training, record: Record, to: Path, threshold: float) -> dict[str, Any]:
    """Look at one image, write it with what was found, and say it."""
    scenes = training.config.detect.scenes
    letterboxed = letterbox(DetectionSet("given", trained.classes, (record,)), scenes.height, scenes.width)
    detector = trained.detector
    with torch.no_grad():
        output = detector(letterboxed.images[torch.tensor([0])].to(detector.mean.device))
    seen = detector.detect(output, (scenes.height, scenes.width))[0]
    found = Detections(*(part.cpu() for part in seen)).above(threshold)
    found = found.within(float(letterboxed.scales[0]), record.width, record.height)
    pixels = read_pixels(record).numpy()
    labels, scores = found.labels.tolist(), found.scores.tolist()
    stream = io.BytesIO()
    annotate(pixels, found.boxes.numpy(), labels, scores, trained.classes).save(stream, "JPEG", quality=_JPEG)
    write_bytes(to, stream.getvalue())
    rows = zip(found.boxes.tolist(), labels, scores, strict=True)
    told = [{"box": box, "class": trained.classes[label], "label": label, "score": score} for box, label, score in rows]
    return {
        "file": str(record.image),
        "annotated": to.name,
        "width": record.width,
        "height": record.height,
        "found": told,
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


def _white(headers: Iterable[Header], known: float | None) -> tuple[float | None, list[str]]:
    """What is white in the images of more than 8 bits, and a sentence that says it.

    Args:
        headers: Of all images.
        known: What was white in those that the network learned from.
    """
    depths = [header.depth for header in headers if header.depth is not None]
    if not depths:
        return None, []
    white = known or white_level(depths)
    peak = max(depth.peak for depth in depths)
    source = "as in the images that the network learned from" if known else "the least depth that holds all of them"
    beyond = f"; the brightest is {peak:g}, so that it and others are cut off" if known and peak > known else ""
    return white, [f"{len(depths)} images hold more than 8 bits: white is {white:g}, {source}{beyond}"]
