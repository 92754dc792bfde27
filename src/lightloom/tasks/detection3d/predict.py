"""Boxes around a vehicle at moments of a user's choice."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image

from lightloom.common.files import reserve, write_bytes, write_json, write_text
from lightloom.common.marks import claim
from lightloom.common.processes import best_device
from lightloom.common.progress import follow
from lightloom.data.multicamera import MultiCameraSet, find_samples, letterbox_samples
from lightloom.data.nuscenes import CameraView, Sample
from lightloom.learn import file_name
from lightloom.metrics.nuscenes import write_results
from lightloom.report.pictures.bird_view import bird_view
from lightloom.report.pictures.boxes3d import annotate3d
from lightloom.tasks.base import Interface, Prediction
from lightloom.tasks.detection3d.config import Detection3DConfig
from lightloom.tasks.detection3d.decode import Boxes
from lightloom.tasks.detection3d.detector import Detector3D
from lightloom.tasks.detection3d.objective import results_of
from lightloom.tasks.detection3d.pictures import found_rows, true_rows

_JPEG = 90


def predict_samples(
    detector: Detector3D, config: Detection3DConfig, interface: Interface, request: Prediction
) -> dict[str, Any]:
    """Find boxes at some moments; writes `detections.json`, `results.json` in the official form, and pictures.

    Args:
        detector: A trained detector.
        config: That it was trained with.
        interface: What its weights are for.
        request: Its inputs are tokens of samples, or names of scenes; its source is the set with them, as in
            `data.name`, and "" is that of the run; `results.json` has boxes of any score.

    Returns:
        As in `detections.json`: `classes`, `case`, and `images`, one for each moment, with `file` (its token), `scene`,
        `annotated` and `found`.

    Raises:
        RequestError: There is no such scene or sample, or the detector looks through fewer cameras.
        WorkError: An image could not be read.
    """
    detector.to(best_device(request.device))
    trained = _Trained(detector, tuple(interface["classes"]), tuple(interface["channels"]))
    out = request.out
    letterboxed, indices = _asked(request.inputs, trained, config, request.source)
    claim(out, "detections")
    reserve(out / "detections.json", out / "results.json")
    images, boxes = [], []
    with follow("detect", len(indices)) as report:
        for number, index in enumerate(indices, 1):
            boxes.append(_look(trained, letterboxed, index))
            images.append(_told(trained, letterboxed, index, boxes[-1], request.threshold, out))
            report(number, letterboxed.samples[index].token)
    samples = [letterboxed.samples[index] for index in indices]
    write_results(out / "results.json", results_of(samples, boxes), [sample.token for sample in samples])
    result = {"classes": list(trained.classes), "case": request.case, "images": images, "failed": []}
    write_json(out / "detections.json", result)
    return result


class _Trained(NamedTuple):
    """A trained detector, its classes and its cameras."""

    detector: Detector3D
    classes: tuple[str, ...]
    channels: tuple[str, ...]


def _asked(
    inputs: Sequence[str], trained: _Trained, config: Detection3DConfig, source: str
) -> tuple[MultiCameraSet, list[int]]:
    """The moments of the scenes that are concerned, and the places of those that were asked for."""
    data_config, size = config.data, config.model.detector
    scene_samples, channels = find_samples(
        inputs,
        source or data_config.name,
        config.data.root,
        version=None if source else data_config.version,
        cameras=trained.channels,
        town=data_config.town,
    )
    letterboxed = letterbox_samples(  # a sample needs few of the images of its scene
        scene_samples,
        channels,
        (data_config.height, data_config.width),
        area=size.area,
        history=size.history,
        least_points=0,
        memory=False,
    )
    indices = [place for place, sample in enumerate(scene_samples) if sample.token in inputs or sample.scene in inputs]
    return letterboxed, indices


@torch.no_grad()
def _look(trained: _Trained, letterboxed: MultiCameraSet, place: int) -> Boxes:
    detector = trained.detector
    output = detector(letterboxed.images[torch.tensor([place])].to(detector.mean.device))
    return Boxes(*(part.cpu() for part in detector.detect(output)[0]))


def _told(
    trained: _Trained, letterboxed: MultiCameraSet, place: int, detections: Boxes, threshold: float, out: Path
) -> dict[str, Any]:
    """Draw one sample, and say what was found."""
    sample, is_above = letterboxed.samples[place], detections.scores > threshold
    visible = Boxes(*(part[is_above] for part in detections))
    pictures = [_draw(sample, camera, visible, trained.classes, out) for camera in sample.cameras]
    rows, above = found_rows(detections, threshold), f"{file_name(sample.token)}-above.svg"
    view = bird_view(rows, trained.detector.config.area, trained.classes, truth=true_rows(letterboxed.labels[place]))
    write_text(out / above, view)
    named = [{**row, "class": trained.classes[row["label"]]} for row in rows]
    return {"file": sample.token, "scene": sample.scene, "annotated": [*pictures, above], "found": named}


def _draw(sample: Sample, camera: CameraView, detections: Boxes, classes: Sequence[str], out: Path) -> str:
    with Image.open(camera.file) as opened:
        pixels = np.array(opened.convert("RGB"))
    stream = io.BytesIO()
    picture = annotate3d(
        pixels, camera.matrix, detections.boxes.numpy(), detections.labels.tolist(), detections.scores.tolist(), classes
    )
    picture.save(stream, "JPEG", quality=_JPEG)
    name = f"{file_name(sample.token)}-{file_name(camera.channel)}.jpg"
    write_bytes(out / name, stream.getvalue())
    return name
