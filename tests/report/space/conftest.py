from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

TEACHER, PLAIN, TAUGHT = "expert", "student", "student, taught"
CASES = (TEACHER, PLAIN, TAUGHT)
CLASSES = ["car", "truck", "bus", "pedestrian"]
YAWS = {"FRONT": 0, "FRONT_RIGHT": -55, "FRONT_LEFT": 55, "BACK": 180, "BACK_LEFT": 110, "BACK_RIGHT": -110}
WIDTH, HEIGHT = 160, 96
AREA = [-25.6, -25.6, -5, 25.6, 25.6, 3]
NDS = {TEACHER: 0.5, PLAIN: 0.4, TAUGHT: 0.44}
ERRORS = {"mATE": 0.7, "mASE": 0.3, "mAOE": 0.6, "mAVE": 1.4, "mAAE": 0.25}


def projection(degrees: float) -> list[list[float]]:
    """A camera 1.5 m above the ego vehicle that looks to the left by so many degrees."""
    yaw = math.radians(degrees)
    forward, right = (math.cos(yaw), math.sin(yaw)), (math.sin(yaw), -math.cos(yaw))
    u = [110 * right[0] + 80 * forward[0], 110 * right[1] + 80 * forward[1], 0, 0]
    v = [48 * forward[0], 48 * forward[1], -110, 110 * 1.5]
    return [u, v, [*forward, 0, 0], [0, 0, 0, 1]]


def truth() -> list[dict[str, Any]]:
    places = [(10, 1, 0, 0), (-8, -3, 1, 2.0), (6, 9, 3, 0.5), (-2, -12, 2, 1.0)]
    sizes = [[1.9, 4.5, 1.6], [2.5, 7, 3], [2.9, 11, 3.4], [0.7, 0.7, 1.8]]
    return [
        {
            "center": [x, y, 0.8],
            "size": sizes[label],
            "yaw": yaw,
            "velocity": [3, 0] if label == 0 else None,
            "label": label,
        }
        for x, y, label, yaw in places
    ]


def found(case: str) -> list[dict[str, Any]]:
    """The teacher finds everything, the others miss the last; one sees a car that is not there."""
    kept = truth() if case == TEACHER else truth()[:-1]
    seen = [box | {"score": 0.9 - 0.1 * number, "velocity": [1.0, 1.0]} for number, box in enumerate(kept)]
    ghost = {"center": [12, -6, 0.8], "size": [1.9, 4.5, 1.6], "yaw": 0, "label": 0, "score": 0.3}
    return [*seen, ghost] if case == PLAIN else seen


def detections(folder: Path, samples: int = 2) -> dict[str, Any]:
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    frames = []
    for number in range(samples):
        cameras = []
        for place, (channel, yaw) in enumerate(YAWS.items()):
            shade = np.linspace((120, 160, 210), (90, 100, 80), HEIGHT)[:, None].repeat(WIDTH, axis=1) - 3 * place
            name = f"pictures/{number:03d}-CAM_{channel}.jpg"
            Image.fromarray(shade.astype(np.uint8)).save(folder / name)
            size = {"width": WIDTH, "height": HEIGHT}
            cameras.append({"channel": f"CAM_{channel}", "file": name, "project": projection(yaw)} | size)
        frames.append(
            {
                "token": f"sample-{number}",
                "scene": f"town-{number}",
                "cameras": cameras,
                "truth": truth(),
                "cases": {case: found(case) for case in CASES},
                "queries": {case: [[*box["center"][:2], box["score"]] for box in found(case)] for case in CASES},
            }
        )
    return {"classes": CLASSES, "area": AREA, "threshold": 0.2, "frames": frames}


def ground() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    maps = {f"{case}/{number}/ground": draw.uniform(0, 1, (16, 16)) for case in CASES for number in range(2)}
    maps |= {f"sample-{number}/heatmap": draw.uniform(0, 1, (32, 32)) for number in range(2)}
    return {name: values.astype(np.float32) for name, values in maps.items()}


def row(case: str, seed: int) -> dict[str, Any]:
    score, less = NDS[case] + 0.01 * (seed - 1), 2 * (NDS[case] - 0.4)
    return {
        "case": case,
        "seed": seed,
        "accuracy": score,
        "measure": "NDS",
        "figures": {"NDS": score, "mAP": score - 0.1} | {name: value - less for name, value in ERRORS.items()},
        "per_class": {name: score - 0.05 * place for place, name in enumerate(CLASSES)},
        "teacher": TEACHER if case == TAUGHT else "",
    }


def curves() -> dict[str, Any]:
    recall = [place / 100 for place in range(101)]
    return {
        "curves": [
            {"case": case, "class": name, "distance": distance, "recall": recall, "precision": precision}
            for case in CASES
            for name in CLASSES
            for distance in (0.5, 1.0, 2.0, 4.0)
            for precision in [[1.0 if point <= NDS[case] else 0.0 for point in recall]]
        ]
    }


def _write_space_run(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"x": "", "scale": "linear", "baseline": PLAIN}
    contents = {
        "summary.json": {"recipe": "surround/toytown", "seed": 0, "accuracy": NDS, "sweep": asked},
        "sweep.json": [row(case, seed) for seed in range(3) for case in CASES],
        "detections3d.json": detections(folder),
        "pr3d.json": curves(),
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    save_file(ground(), folder / "ground.safetensors")
    return folder


@pytest.fixture
def made() -> SimpleNamespace:
    """What the run folder is made of: the functions and the names above."""
    return SimpleNamespace(
        teacher=TEACHER,
        plain=PLAIN,
        taught=TAUGHT,
        cases=CASES,
        classes=CLASSES,
        channels=len(YAWS),
        scores=NDS,
        size=(WIDTH, HEIGHT),
        projection=projection,
        truth=truth,
        detections=detections,
        ground=ground,
        row=row,
    )


@pytest.fixture(scope="session")
def write_space_run() -> Callable[[Path], Path]:
    """Writes such a folder wherever it is told."""
    return _write_space_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _write_space_run(tmp_path / "space")


@pytest.fixture
def change(folder: Path) -> Callable[..., None]:
    """Changes one JSON file of the run by a function of its content."""

    def apply(name: str, function: Callable[[Any], Any]) -> None:
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(function(content)))

    return apply
