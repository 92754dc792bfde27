"""What detectors find, how their light goes, and what they cost, from the weights that a comparison has left."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lightloom import cost as costs
from lightloom import learn as learning
from lightloom.common.files import make_folder, write_bytes, write_json
from lightloom.common.processes import best_device
from lightloom.common.progress import follow
from lightloom.data.detection import LetterboxedSet, read_pixels
from lightloom.nn.diffractive.snapshot import look
from lightloom.pipeline.case_store import noise_seed
from lightloom.pipeline.comparison import first_trainings
from lightloom.pipeline.context import Work
from lightloom.pipeline.detect_cases import load_case, scenes_of
from lightloom.tasks.detection2d import Detection2DObjective, Detections, Precision

_LISTED = 0.25  # least score of a detection that is shown
_JPEG = 90


def evaluate(work: Work) -> None:
    """Look at the test images with every case of the first seed: precision, detections, masks, light."""
    first = first_trainings(work.config)
    scenes, device = scenes_of(first[0].config), best_device(work.config.device)
    shown = _shown(len(scenes.test), work.config.detect.pictures)
    images, curves = list(_pictures(work, scenes.test, shown)), list[dict[str, Any]]()
    tensors, notes = dict[str, Tensor](), dict[str, str]()
    with follow("evaluate", len(first)) as report:
        for number, training in enumerate(first, 1):
            detector = load_case(work.folder, training, scenes.classes).detector.to(device)
            torch.manual_seed(noise_seed(training))  # the same noise as when it was trained
            precision, found = Detection2DObjective(detector).measure(detector, scenes.test)
            curves += list(_curves(training.case.name, precision))
            for image, place in zip(images, shown, strict=True):
                image["cases"][training.case.name] = _listed(found[place].above(_LISTED))
            if shown:
                seen = look(training.case.name, detector, scenes.test.images[torch.tensor(shown[:1])].to(device))
                tensors |= seen.tensors
                notes |= seen.notes
            report(number, training.case.name)
    write_json(work.folder.file("pr.json"), {"curves": curves})
    listed = {"classes": list(scenes.classes), "threshold": _LISTED, "images": images}
    write_json(work.folder.file("detections.json"), listed)
    write_json(work.folder.file("problems.json"), [problem._asdict() for problem in scenes.problems])
    learning.write_tensors(work.folder.file("optics.safetensors"), tensors, notes)


def cost(work: Work) -> None:
    """Count what one image takes in every case: as published, and as a whole."""
    first = first_trainings(work.config)
    scenes = scenes_of(first[0].config)
    sample = scenes.test.images[torch.tensor([0])]
    bills = {}
    for training in first:
        detector = load_case(work.folder, training, scenes.classes).detector
        bills[training.case.name] = costs.hybrid_cost(detector, sample)
    write_json(work.folder.file("hybrid.json"), costs.hybrid_file(bills))


def _shown(count: int, wanted: int) -> list[int]:
    """Places of the pictures: evenly over the set."""
    few = min(count, wanted)
    return [place * count // few for place in range(few)]


def _pictures(work: Work, test: LetterboxedSet, shown: list[int]) -> Iterator[dict[str, Any]]:
    """Store the images that are shown, and say what is in them."""
    make_folder(work.folder.file("pictures"))
    for number, place in enumerate(shown):
        record = test.source.records[place]
        name, stream = f"pictures/{number:03d}.jpg", io.BytesIO()
        Image.fromarray(read_pixels(record).permute(1, 2, 0).numpy()).save(stream, "JPEG", quality=_JPEG)
        write_bytes(work.folder.file(name), stream.getvalue())
        kept = record.targets
        truth = zip(record.boxes[kept].tolist(), record.labels[kept].tolist(), strict=True)
        yield {
            "file": name,
            "key": record.key,
            "width": record.width,
            "height": record.height,
            "truth": [{"box": box, "label": label} for box, label in truth],
            "cases": {},
        }


def _listed(found: Detections) -> list[dict[str, Any]]:
    rows = zip(found.boxes.tolist(), found.labels.tolist(), found.scores.tolist(), strict=True)
    return [{"box": box, "label": label, "score": score} for box, label, score in rows]


def _curves(case: str, precision: Precision) -> Iterator[dict[str, Any]]:
    for name, curve in precision.curves.items():
        yield {"case": case, "class": name, "iou": 0.5, "recall": precision.recall, "precision": curve}
