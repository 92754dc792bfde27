"""What detectors find in test images, and how their light goes, as files for the report."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from lightloom import learn as learning
from lightloom.common.files import make_folder, write_bytes, write_json
from lightloom.data.detection import LetterboxedSet, read_pixels
from lightloom.nn.diffractive.snapshot import look
from lightloom.schemas import DetectionFile, PrecisionFile, write_plain
from lightloom.tasks.base import Files, Measured
from lightloom.tasks.detection2d.boxes import Detections
from lightloom.tasks.detection2d.build import DetectionData
from lightloom.tasks.detection2d.evaluate import Precision
from lightloom.tasks.hybrid.teaching import evenly

_LISTED = 0.25  # least score of a detection that is shown
_JPEG = 90


class DetectionGallery:
    """Collects detections, precision over recall, masks and light.

    Args:
        files: Of the run.
        data: Whose test images are shown.
        pictures: How many of them.
    """

    def __init__(self, files: Files, data: DetectionData, pictures: int) -> None:
        self.files, self.data = files, data
        self.shown = evenly(len(data.test), pictures)
        self.images = list(_pictures(files, data.test, self.shown))
        self.curves: list[dict[str, Any]] = []
        self.tensors: dict[str, Tensor] = {}
        self.notes: dict[str, str] = {}

    def add(self, name: str, model: nn.Module, measured: Measured) -> None:
        """Take in what one detector says of the test images.

        Args:
            name: What to call it.
            model: The detector, in eval mode.
            measured: With precision and detections as its predictions.
        """
        precision, detections = measured.predictions
        self.curves += list(_curves(name, precision))
        for image, number in zip(self.images, self.shown, strict=True):
            image["cases"][name] = _listed(detections[number].above(_LISTED))
        if self.shown:
            device = next(model.parameters()).device
            snapshot = look(name, model, self.data.test.images[torch.tensor(self.shown[:1])].to(device))
            self.tensors |= snapshot.tensors
            self.notes |= snapshot.notes

    def write(self) -> None:
        """Write `pr.json`, `detections.json`, `problems.json` and `optics.safetensors`."""
        file = self.files.file
        write_plain(file("pr.json"), PrecisionFile, {"curves": self.curves})
        listed = {"classes": list(self.data.classes), "threshold": _LISTED, "images": self.images}
        write_plain(file("detections.json"), DetectionFile, listed)
        write_json(file("problems.json"), [problem._asdict() for problem in self.data.problems])
        learning.write_tensors(file("optics.safetensors"), self.tensors, self.notes)


def _pictures(files: Files, test: LetterboxedSet, indices: list[int]) -> Iterator[dict[str, Any]]:
    """Store the images that are shown, and say what is in them."""
    make_folder(files.file("pictures"))
    for number, index in enumerate(indices):
        record = test.source.records[index]
        name, stream = f"pictures/{number:03d}.jpg", io.BytesIO()
        Image.fromarray(read_pixels(record).permute(1, 2, 0).numpy()).save(stream, "JPEG", quality=_JPEG)
        write_bytes(files.file(name), stream.getvalue())
        targets = record.targets
        truth = zip(record.boxes[targets].tolist(), record.labels[targets].tolist(), strict=True)
        yield {
            "file": name,
            "key": record.key,
            "width": record.width,
            "height": record.height,
            "truth": [{"box": box, "label": label} for box, label in truth],
            "cases": {},
        }


def _listed(detections: Detections) -> list[dict[str, Any]]:
    rows = zip(detections.boxes.tolist(), detections.labels.tolist(), detections.scores.tolist(), strict=True)
    return [{"box": box, "label": label, "score": score} for box, label, score in rows]


def _curves(case: str, precision: Precision) -> Iterator[dict[str, Any]]:
    for name, curve in precision.curves.items():
        yield {"case": case, "class": name, "iou": 0.5, "recall": precision.recall, "precision": curve}
