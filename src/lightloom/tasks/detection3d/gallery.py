"""What 3-D detectors find at test moments, where they look, and how their light goes, as files for the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lightloom import learn as learning
from lightloom.common.files import make_folder, write_json
from lightloom.data.multicamera import BEVRange, MultiCameraSet, Views
from lightloom.data.nuscenes import Sample
from lightloom.learn.distil import gaussian_heatmap
from lightloom.metrics.nuscenes import NuScenesMetrics, write_results
from lightloom.nn.diffractive.snapshot import look
from lightloom.schemas import DetectionFile3D, PrecisionFile3D, write_plain
from lightloom.tasks.base import Files, Measured
from lightloom.tasks.detection3d.build import MultiCameraData
from lightloom.tasks.detection3d.config import Detection3DConfig
from lightloom.tasks.detection3d.decode import Boxes
from lightloom.tasks.detection3d.detector import Detector3D, Detector3DOutput
from lightloom.tasks.detection3d.distillers import HeatmapConfig
from lightloom.tasks.detection3d.objective import results_of
from lightloom.tasks.detection3d.pictures import camera_pictures, found_rows, true_rows
from lightloom.tasks.hybrid.teaching import evenly

_LISTED = 0.2  # least score of a box that is shown
_POSITIONS = 30  # of the best queries


class MultiCameraGallery:
    """Collects boxes, curves, maps from above, results files and light.

    Args:
        files: Of the run.
        config: Of the run.
        data: Whose test moments are shown.
    """

    def __init__(self, files: Files, config: Detection3DConfig, data: MultiCameraData) -> None:
        self.files, self.data = files, data
        self.area = config.model.detector.area
        self.shown = evenly(len(data.test), config.pictures)
        self.frames = [_frame(files, number, data.test, index) for number, index in enumerate(self.shown)]
        self.maps = _masks(data.test, self.shown, self.area, config.guide.heatmap)
        self.curves: list[dict[str, Any]] = []
        self.light: dict[str, Tensor] = {}
        self.notes: dict[str, str] = {}
        make_folder(files.file("results"))

    def add(self, name: str, model: nn.Module, measured: Measured) -> None:
        """Take in what one detector says of the test moments.

        Args:
            name: What to call it.
            model: The detector, in eval mode.
            measured: With nuScenes' figures and boxes as its predictions.
        """
        assert isinstance(model, Detector3D)
        figures, boxes = measured.predictions
        self.curves += list(_curves(name, figures))
        _write_submission(self.files, name, self.data.test.samples, boxes)
        for frame, index in zip(self.frames, self.shown, strict=True):
            frame["cases"][name] = found_rows(boxes[index], _LISTED)
        if self.shown:
            views = self.data.test.images[torch.tensor(self.shown)].to(next(model.parameters()).device)
            self.maps |= _looked(name, model, views, self.frames)
            snapshot = look(name, model, _one(views))
            self.light |= snapshot.tensors
            self.notes |= snapshot.notes

    def write(self) -> None:
        """Write `pr3d.json`, `detections3d.json`, `problems.json`, `ground.safetensors` and `optics.safetensors`."""
        file = self.files.file
        write_plain(file("pr3d.json"), PrecisionFile3D, {"curves": self.curves})
        write_json(file("problems.json"), [problem._asdict() for problem in self.data.problems])
        listed = {
            "classes": list(self.data.classes),
            "area": list(self.area),
            "threshold": _LISTED,
            "frames": self.frames,
        }
        write_plain(file("detections3d.json"), DetectionFile3D, listed)
        learning.write_tensors(file("ground.safetensors"), self.maps, {})
        learning.write_tensors(file("optics.safetensors"), self.light, self.notes)


def _one(views: Views) -> Views:
    """The present moment of the first sample alone: what a detector sees each time as it drives."""
    return Views(*(part[:1, -1:] for part in views))


def _frame(files: Files, number: int, test: MultiCameraSet, place: int) -> dict[str, Any]:
    """A moment that is shown, its pictures stored."""
    sample = test.samples[place]
    return {
        "token": sample.token,
        "scene": sample.scene,
        "cameras": camera_pictures(files, number, sample, test.channels),
        "truth": true_rows(test.labels[place]),
        "cases": {},
        "queries": {},
    }


def _masks(test: MultiCameraSet, indices: Sequence[int], area: BEVRange, heatmap: HeatmapConfig) -> dict[str, Tensor]:
    """Masks of the boxes of each shown moment on the ground, as HeatmapDistiller draws them."""
    if not indices:
        return {}
    rows, columns = (max(round((area[axis + 3] - area[axis]) / heatmap.cell), 1) for axis in (1, 0))
    masks = gaussian_heatmap(test.labels[list(indices)], area, (rows, columns), heatmap.overlap, heatmap.least)
    return {f"{number}/heatmap": mask[0] for number, mask in enumerate(masks)}


@torch.no_grad()
def _looked(name: str, detector: Detector3D, views: Views, frames: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """Strength of the ground maps of shown moments; their frames get the positions of the best queries."""
    maps = {}
    for number, frame in enumerate(frames):
        output = detector.eval()(Views(*(part[number : number + 1] for part in views)))
        frame["queries"][name] = _positions(output)
        if output.bev is not None:
            maps[f"{name}/{number}/ground"] = output.bev[0].norm(dim=0).cpu()
    return maps


def _positions(output: Detector3DOutput) -> list[list[float]]:
    """x, y in m and score of the best queries."""
    scores = output.class_logits[-1, 0].sigmoid().amax(-1)
    best = scores.topk(min(_POSITIONS, len(scores)))
    centers = output.codes[-1, 0, best.indices, :2]
    return torch.cat((centers, best.values[:, None]), 1).cpu().tolist()


def _write_submission(files: Files, name: str, samples: Sequence[Sample], detections: Sequence[Boxes]) -> None:
    """The official results file of a case."""
    results = results_of(samples, detections)
    path = files.file(f"results/{learning.file_name(name)}.json")
    write_results(path, results, [sample.token for sample in samples])


def _curves(case: str, figures: NuScenesMetrics) -> Iterator[dict[str, Any]]:
    for name, by_distance in figures.curves.items():
        for distance, precision in by_distance.items():
            yield {
                "case": case,
                "class": name,
                "distance": distance,
                "recall": np.asarray(figures.recall).tolist(),
                "precision": np.asarray(precision).tolist(),
            }
