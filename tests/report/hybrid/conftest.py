from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from safetensors.numpy import save_file

TEACHER, PLAIN, DISTILLED = "electronic", "1 stage", "1 stage, taught"
CASES = (TEACHER, PLAIN, DISTILLED)
CLASSES = ["person", "car", "dog", "traffic light"]
AP = {TEACHER: 0.298, PLAIN: 0.249, DISTILLED: 0.263}
SIZE = (320, 208)
PIXEL, WAVELENGTH, DISTANCES = 1.75e-6, 1.05e-6, [1e-4, 1e-4, 1e-4]


def row(case: str, seed: int) -> dict[str, Any]:
    mean = AP[case] + 0.004 * (seed - 1)
    figures = {"AP": mean, "AP50": 1.6 * mean, "AP75": mean, "APs": -1, "APm": 0.9 * mean, "APl": 1.4 * mean}
    return {
        "case": case,
        "series": "",
        "x": None,
        "seed": seed,
        "accuracy": mean,
        "measure": "AP",
        "figures": figures | {"AR": 1.5 * mean, "AR1": 0.1},
        "per_class": {name: mean + 0.02 * (index - 1) for index, name in enumerate(CLASSES[:3])} | {CLASSES[3]: -1},
        "teacher": TEACHER if case == DISTILLED else "",
        "epochs": 12,
        "best_epoch": 11,
        "seconds": 3600.0,
    }


def scene(number: int) -> tuple[Image.Image, list[dict[str, Any]]]:
    """A picture of some blocks before a sky, and the box of each."""
    draw_from = np.random.default_rng(number)
    sky = np.linspace((150, 190, 230), (90, 100, 80), SIZE[1])[:, None, :].repeat(SIZE[0], axis=1)
    picture = Image.fromarray((sky + draw_from.normal(0, 6, sky.shape)).clip(0, 255).astype(np.uint8))
    draw, boxes = ImageDraw.Draw(picture), []
    for index in range(3):
        x, y = int(draw_from.integers(10 + 95 * index, 35 + 95 * index)), int(draw_from.integers(40, 110))
        box = [x, y, x + int(draw_from.integers(40, 70)), y + int(draw_from.integers(40, 90))]
        draw.rectangle(box, fill=tuple(int(part) for part in draw_from.integers(30, 220, 3)))
        boxes.append({"box": box, "label": (index + number) % len(CLASSES)})
    return picture, boxes


def found(boxes: list[dict[str, Any]], case: str) -> list[dict[str, Any]]:
    """The teacher finds everything, the others miss the last; one that nobody taught sees what is not there."""
    kept = boxes if case == TEACHER else boxes[:-1]
    seen = [
        box | {"box": [side + 2.5 for side in box["box"]], "score": 0.95 - 0.1 * index}
        for index, box in enumerate(kept)
    ]
    return [*seen, {"box": [4, 150, 60, 200], "label": 2, "score": 0.33}] if case == PLAIN else seen


def detections(folder: Path, images: int = 4) -> dict[str, Any]:
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    listed = []
    for number in range(images):
        picture, boxes = scene(number)
        picture.save(folder / "pictures" / f"{number}.jpg")
        size = {"file": f"pictures/{number}.jpg", "key": f"street-{number}", "width": SIZE[0], "height": SIZE[1]}
        listed.append(size | {"truth": boxes, "cases": {case: found(boxes, case) for case in CASES}})
    return {"classes": CLASSES, "threshold": 0.3, "images": listed}


def precisions() -> dict[str, Any]:
    recall = [index / 100 for index in range(101)]

    def curve(case: str, of: str, iou: float) -> dict[str, Any]:
        reach = (1.5 if iou == 0.5 else 1.0) * AP[case] + 0.05 * len(of) / 10
        precision = [round(max(0.0, 1 - (point / reach) ** 2) ** 0.5, 4) for point in recall]
        return {"case": case, "class": of, "iou": iou, "recall": recall, "precision": precision}

    names = [("all", 0.5), ("all", 0.75), *((name, 0.5) for name in CLASSES[:3])]
    return {"curves": [curve(case, *name) for case in CASES for name in names]}


def travel(field: NDArray[np.complex128], distance: float) -> NDArray[np.complex128]:
    across = np.fft.fftfreq(len(field), PIXEL)
    along = np.sqrt(1 - (WAVELENGTH * across[:, None]) ** 2 - (WAVELENGTH * across) ** 2)
    turned = np.exp(2j * math.pi * distance / WAVELENGTH * along)
    return np.asarray(np.fft.ifft2(turned * np.fft.fft2(field)))


def optics() -> dict[str, NDArray[np.float32]]:
    """Two masks of 24 x 24 on a grid of 48 x 48, and the light of a bright bar through the first path."""
    draw = np.random.default_rng(3)
    tensors: dict[str, NDArray[Any]] = {}
    for case in (PLAIN, DISTILLED):
        masks = draw.uniform(0, 2, (6, 2, 24, 24))
        field = np.zeros((48, 48), complex)
        field[14:34, 18:22] = field[20:24, 18:32] = 1
        light = [np.abs(field) ** 2]
        field = travel(field, DISTANCES[0])
        for mask in masks[0]:
            light.append(np.abs(field) ** 2)
            field[12:36, 12:36] *= np.exp(2j * math.pi * mask)
            field = travel(field, DISTANCES[1])
        light.append(np.abs(field) ** 2)
        layer = f"{case}|backbone.s4.onn"
        tensors |= {
            f"{layer}|masks": masks,
            f"{layer}|light": np.stack(light),
            f"{layer}|image": light[-1][11:37, 4:44],
        }
    for case in CASES:
        for stage in range(1, 5):
            ramp = np.add.outer(np.arange(52 >> stage), np.arange(80 >> stage)) / 20 + len(case)
            tensors[f"{case}|features|s{stage}"] = np.sin(ramp) * stage
    return {name: tensor.astype(np.float32) for name, tensor in tensors.items()}


def save_optics(folder: Path, tensors: dict[str, NDArray[np.float32]]) -> None:
    about = {"pixel": PIXEL, "wavelength": WAVELENGTH, "distances": DISTANCES, "mixing": "dense", "paths": 73728}
    layers = {name.rsplit("|", 1)[0] for name in tensors if "|features|" not in name}
    save_file(tensors, folder / "optics.safetensors", {layer: json.dumps(about) for layer in layers})


def hybrid() -> dict[str, Any]:
    def case(name: str, optical: bool) -> dict[str, Any]:
        electronic = 0.31 if optical else 0.49
        names = ("optics", "with converters", "whole detector")
        energies = (2e-4, 4e-2, electronic + 0.24) if optical else (0.0, 0.0, electronic)
        return {
            "case": name,
            "published": {
                "parameters": 1_630_000 if optical else 6_587_000,
                "macs": 2_665_000_000 if optical else 4_028_000_000,
                "stages": 3 if optical else 4,
                "note": "At 416 × 608 px.",
            },
            "optical_parameters": 235_929_600 if optical else 0,
            "optical_paths": 73_728 if optical else 0,
            "frames": 73_728 if optical else 0,
            "boundaries": [
                {"name": title, "includes": f"what {title} takes", "energy_j": energy, "latency_s": energy / 40}
                for title, energy in zip(names, energies, strict=True)
            ],
            "parts": {"electronic stages": electronic, "camera": 0.03 * optical, "laser": 2e-4 * optical},
            "assumptions": ["Paths are shown one after the other."],
        }

    source = {"chip": "phoenix", "name": "camera read", "value": 1e-10, "unit": "J/pixel", "source": "assumed"}
    return {"cases": [case(name, name != TEACHER) for name in CASES], "constants": [source]}


def _write_hybrid_run(folder: Path) -> Path:
    """A whole run folder, as a comparison of hybrid detectors leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row(case, seed) for seed in range(3) for case in CASES]
    epochs = [
        {
            "stage": f"{line['case']}, seed {line['seed']}",
            "epoch": epoch,
            "validation_accuracy": line["accuracy"] * rise,
        }
        for line in rows
        for epoch, rise in enumerate((0.5, 0.8, 0.9, 1.0), 1)
    ]
    contents = {
        "summary.json": {
            "recipe": "hybrid/streets",
            "seed": 0,
            "accuracy": AP,
            "sweep": {"x": "", "scale": "linear", "baseline": TEACHER},
        },
        "sweep.json": rows,
        "detections.json": detections(folder),
        "pr.json": precisions(),
        "hybrid.json": hybrid(),
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(epoch) + "\n" for epoch in epochs))
    save_optics(folder, optics())
    return folder


@pytest.fixture
def made() -> SimpleNamespace:
    """What the run folder is made of: the functions and the names above."""
    return SimpleNamespace(
        teacher=TEACHER,
        plain=PLAIN,
        distilled=DISTILLED,
        cases=CASES,
        classes=CLASSES,
        row=row,
        detections=detections,
        precisions=precisions,
        optics=optics,
        save_optics=save_optics,
        hybrid=hybrid,
    )


@pytest.fixture(scope="session")
def write_hybrid_run() -> Callable[[Path], Path]:
    """Writes such a folder wherever it is told."""
    return _write_hybrid_run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return _write_hybrid_run(tmp_path / "hybrid")
