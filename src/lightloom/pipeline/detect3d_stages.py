"""What 3-D detectors find, where they look, and what they cost, from the weights that a comparison has left."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightloom import cost as costs
from lightloom import learn as learning
from lightloom.common.files import make_folder, write_json
from lightloom.common.processes import best_device
from lightloom.common.progress import follow
from lightloom.data.multicamera import BEVRange, MultiCameraSet, Views
from lightloom.data.nuscenes import Moment
from lightloom.learn.distil import gaussian_heatmap
from lightloom.metrics.nuscenes import NuScenesMetrics, write_results
from lightloom.nn.diffractive.snapshot import look
from lightloom.pipeline.case_store import noise_seed
from lightloom.pipeline.comparison import first_trainings
from lightloom.pipeline.context import Work
from lightloom.pipeline.detect3d_cases import load_case, surroundings_of
from lightloom.pipeline.moment_pictures import camera_pictures, found_rows, true_rows
from lightloom.tasks.detection3d import (
    Boxes,
    Detection3DObjective,
    Detector3D,
    Detector3DOutput,
    HeatmapConfig,
    results_of,
)

_LISTED = 0.2  # least score of a box that is shown
_POSITIONS = 30  # of the best queries


def evaluate(work: Work) -> None:
    """Look at the test moments with every case of the first seed: figures, boxes, ground maps, results files, light."""
    first = first_trainings(work.config)
    scenes, device = surroundings_of(first[0].config), best_device(work.config.device)
    wanted = first[0].config.detect3d
    area = wanted.detector.area
    shown = _shown(len(scenes.test), work.config.detect3d.pictures)
    frames = [_frame(work, number, scenes.test, place) for number, place in enumerate(shown)]
    curves, maps = list[dict[str, Any]](), _masks(scenes.test, shown, area, wanted.guide.heatmap)
    make_folder(work.folder.file("results"))
    light, notes = dict[str, Tensor](), dict[str, str]()
    with follow("evaluate", len(first)) as report:
        for number, training in enumerate(first, 1):
            detector = load_case(work.folder, training, scenes.classes).detector.to(device)
            torch.manual_seed(noise_seed(training))  # the same noise as when it was trained
            figures, found = Detection3DObjective(detector).measure(detector, scenes.test)
            name = training.case.name
            curves += list(_curves(name, figures))
            _write_submission(work, name, scenes.test.moments, found)
            for frame, place in zip(frames, shown, strict=True):
                frame["cases"][name] = found_rows(found[place], _LISTED)
            if shown:
                views = scenes.test.images[torch.tensor(shown)].to(device)
                maps |= _looked(name, detector, views, frames)
                seen = look(name, detector, _one(views))
                light |= seen.tensors
                notes |= seen.notes
            report(number, name)
    write_json(work.folder.file("pr3d.json"), {"curves": curves})
    write_json(work.folder.file("problems.json"), [problem._asdict() for problem in scenes.problems])
    listed = {"classes": list(scenes.classes), "area": list(area), "threshold": _LISTED, "frames": frames}
    write_json(work.folder.file("detections3d.json"), listed)
    learning.write_tensors(work.folder.file("ground.safetensors"), maps, {})
    learning.write_tensors(work.folder.file("optics.safetensors"), light, notes)


def cost(work: Work) -> None:
    """Count what one moment takes in every case: as published for hybrids, and as a whole."""
    first = first_trainings(work.config)
    scenes = surroundings_of(first[0].config)
    sample = _one(scenes.test.images[torch.tensor([0])])
    bills = {}
    for training in first:
        detector = load_case(work.folder, training, scenes.classes).detector
        bills[training.case.name] = costs.hybrid_cost(detector, sample)
    write_json(work.folder.file("hybrid.json"), costs.hybrid_file(bills))


def _shown(count: int, wanted: int) -> list[int]:
    """Places of the pictures: evenly over the set, in the middle of each part, so that most have a past."""
    few = min(count, wanted)
    return [(2 * place + 1) * count // (2 * few) for place in range(few)]


def _one(views: Views) -> Views:
    """The present moment of the first sample alone: what a detector sees each time as it drives."""
    return Views(*(part[:1, -1:] for part in views))


def _frame(work: Work, number: int, test: MultiCameraSet, place: int) -> dict[str, Any]:
    """A moment that is shown, its pictures stored."""
    moment = test.moments[place]
    return {
        "token": moment.token,
        "scene": moment.scene,
        "cameras": camera_pictures(work.folder, number, moment, test.channels),
        "truth": true_rows(test.labels[place]),
        "cases": {},
        "queries": {},
    }


def _masks(test: MultiCameraSet, shown: Sequence[int], area: BEVRange, drawn: HeatmapConfig) -> dict[str, Tensor]:
    """Where the boxes of each shown moment are on the ground, as HeatmapDistiller draws them."""
    if not shown:
        return {}
    rows, columns = (max(round((area[axis + 3] - area[axis]) / drawn.cell), 1) for axis in (1, 0))
    masks = gaussian_heatmap(test.labels[list(shown)], area, (rows, columns), drawn.overlap, drawn.least)
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


def _write_submission(work: Work, name: str, moments: Sequence[Moment], found: Sequence[Boxes]) -> None:
    """The official results file of a case."""
    results = results_of(moments, found)
    path = work.folder.file(f"results/{learning.file_name(name)}.json")
    write_results(path, results, [moment.token for moment in moments])


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
