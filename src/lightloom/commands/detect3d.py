"""Boxes around a vehicle at moments of one's choice, found by a detector of a run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lightloom.common.errors import RequestError, nearest
from lightloom.common.files import reserve, write_bytes, write_json, write_text
from lightloom.common.marks import claim
from lightloom.common.processes import best_device
from lightloom.common.progress import follow
from lightloom.config import RunConfig
from lightloom.data.multicamera import MultiCameraSet, find_moments, letterbox_samples
from lightloom.data.nuscenes import CameraView, Moment
from lightloom.learn import file_name
from lightloom.metrics.nuscenes import write_results
from lightloom.pipeline.case_store import case_of
from lightloom.pipeline.detect3d_cases import Trained, load_case
from lightloom.pipeline.moment_pictures import found_rows, true_rows
from lightloom.pipeline.run_folder import RunFolder
from lightloom.report.pictures.bird_view import bird_view
from lightloom.report.pictures.boxes3d import annotate3d
from lightloom.tasks.detection3d import Boxes, results_of

_JPEG = 90
_DEVICES = ("auto", "cpu")


def detect_moments(
    given: Sequence[str],
    model: Path,
    out: Path,
    *,
    source: str = "",
    case: str = "",
    threshold: float = 0.25,
    device: str = "auto",
) -> dict[str, Any]:
    """Find boxes at some moments; writes `detections.json`, `results.json` in the official form, and pictures.

    Args:
        given: Tokens of samples, or names of scenes.
        model: Folder of a run that detects in space.
        out: Folder to write to: each camera with boxes, and the moment from above.
        source: Set with these moments, as in `detect3d.scenes.name`; "" is that of the run.
        case: Which of its cases looks, with its first seed; "" is the last one.
        threshold: Least score of what is told and drawn; `results.json` has all.
        device: "auto" takes a GPU where there is one; "cpu" never does.

    Returns:
        As in `detections.json`: `classes`, `case`, and `images`, one for each moment, with `file` (its token), `scene`,
        `annotated` and `found`.

    Raises:
        RequestError: There is no such run, case, scene, sample or device, the detector looks through fewer cameras, or
            the threshold is not 0 ... 1.
        WorkError: An image could not be read.
    """
    check_request(threshold, device)
    folder = RunFolder.open(model)
    training = case_of(folder, case)
    trained = load_case(folder, training)
    trained.detector.to(best_device(device))
    letterboxed, chosen = _asked(given, trained, training.config, source)
    claim(out, "detections")
    reserve(out / "detections.json", out / "results.json")
    images, found = [], []
    with follow("detect", len(chosen)) as report:
        for number, place in enumerate(chosen, 1):
            found.append(_look(trained, letterboxed, place))
            images.append(_told(trained, letterboxed, place, found[-1], threshold, out))
            report(number, letterboxed.moments[place].token)
    moments = [letterboxed.moments[place] for place in chosen]
    write_results(out / "results.json", results_of(moments, found), [moment.token for moment in moments])
    result = {"classes": list(trained.classes), "case": training.case.name, "images": images, "failed": []}
    write_json(out / "detections.json", result)
    return result


def check_request(threshold: float, device: str) -> None:
    """Refuse a threshold that is no score, and a device that there is not. Raises `RequestError`."""
    if not 0 <= threshold <= 1:
        raise RequestError(f"The threshold is {threshold}; a score is 0 ... 1.")
    if device not in _DEVICES:
        raise RequestError(f"There is no device `{device}`. {nearest(device, _DEVICES)}")


def _asked(given: Sequence[str], trained: Trained, config: RunConfig, source: str) -> tuple[MultiCameraSet, list[int]]:
    """The moments of the scenes that are concerned, and the places of those that were asked for."""
    wanted, size = config.detect3d.scenes, config.detect3d.detector
    kept, channels = find_moments(
        given,
        source or wanted.name,
        config.data.root,
        version=None if source else wanted.version,
        cameras=trained.channels,
        town=wanted.town,
    )
    letterboxed = letterbox_samples(  # a moment needs few of the images of its scene
        kept, channels, wanted.height, wanted.width, area=size.area, history=size.history, least_points=0, memory=False
    )
    chosen = [place for place, moment in enumerate(kept) if moment.token in given or moment.scene in given]
    return letterboxed, chosen


@torch.no_grad()
def _look(trained: Trained, letterboxed: MultiCameraSet, place: int) -> Boxes:
    detector = trained.detector
    output = detector(letterboxed.images[torch.tensor([place])].to(detector.mean.device))
    return Boxes(*(part.cpu() for part in detector.detect(output)[0]))


def _told(
    trained: Trained, letterboxed: MultiCameraSet, place: int, found: Boxes, threshold: float, out: Path
) -> dict[str, Any]:
    """Draw one moment, and say what was found."""
    moment, kept = letterboxed.moments[place], found.scores > threshold
    shown = Boxes(*(part[kept] for part in found))
    pictures = [_draw(moment, camera, shown, trained.classes, out) for camera in moment.cameras]
    rows, above = found_rows(found, threshold), f"{file_name(moment.token)}-above.svg"
    view = bird_view(rows, trained.detector.config.area, trained.classes, truth=true_rows(letterboxed.labels[place]))
    write_text(out / above, view)
    named = [{**row, "class": trained.classes[row["label"]]} for row in rows]
    return {"file": moment.token, "scene": moment.scene, "annotated": [*pictures, above], "found": named}


def _draw(moment: Moment, camera: CameraView, found: Boxes, classes: Sequence[str], out: Path) -> str:
    with Image.open(camera.file) as opened:
        pixels = np.array(opened.convert("RGB"))
    stream = io.BytesIO()
    picture = annotate3d(
        pixels, camera.matrix, found.boxes.numpy(), found.labels.tolist(), found.scores.tolist(), classes
    )
    picture.save(stream, "JPEG", quality=_JPEG)
    name = f"{file_name(moment.token)}-{file_name(camera.channel)}.jpg"
    write_bytes(out / name, stream.getvalue())
    return name
