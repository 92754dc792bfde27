from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

SIZE = 9


def summary() -> dict[str, Any]:
    return {
        "recipe": "onchip/digits",
        "seed": 0,
        "accuracy": {"electronic": 0.981, "programmed": 0.111, "learned": 0.972},
        "chip_calls": 33,
        "energy_j": 4.182e-8,
        "latency_s": 1.65e-7,
        "run": "runs/onchip-digits",
        "learning": {"chip_calls": 1_284_096},
        "seconds": {"train": 4.2, "program": 0.31, "learn": 95.4},
    }


def metrics() -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for stage, epochs, start in (("train", 12, 2.3), ("learn", 20, 3.1)):
        for epoch in range(1, epochs + 1):
            fall = math.exp(-epoch / (epochs / 4))
            ripple = 0.03 * math.sin(2.7 * epoch)
            lines.append(
                {
                    "stage": stage,
                    "epoch": epoch,
                    "step": 40 * epoch,
                    "loss": start * fall + 0.05,
                    "validation_loss": start * fall + 0.09 + ripple,
                    "validation_accuracy": 0.98 - 0.8 * fall - abs(ripple) / 4,
                    "lr": 2e-3,
                    "seconds": 0.3,
                }
            )
    return lines


def layers() -> list[dict[str, Any]]:
    def optical(name: str, kind: str, shape: list[int], blocks: list[int], errors: list[float]) -> dict[str, Any]:
        return {
            "name": name,
            "kind": kind,
            "converted": True,
            "reason": "",
            "shape": shape,
            "blocks": blocks,
            "block_size": SIZE,
            "mzis": math.prod(blocks) * SIZE**2,
            "weight_error": 1.3e-13,
            "errors": dict(zip(("programmed", "learned"), errors, strict=True)),
        }

    def electronic(name: str, kind: str, reason: str) -> dict[str, Any]:
        return {"name": name, "kind": kind, "converted": False, "reason": reason}

    return [
        optical("features.0", "Conv2d", [16, 1, 3, 3], [1, 2, 1], [1.83, 0.412]),
        electronic("features.1", "BatchNorm2d", "a norm has no matrix; it stays electronic and keeps learning"),
        optical("features.3", "Conv2d", [32, 16, 3, 3], [1, 4, 16], [1.71, 0.207]),
        electronic("features.4", "BatchNorm2d", "a norm has no matrix; it stays electronic and keeps learning"),
        optical("classifier.1", "Linear", [64, 128], [1, 8, 15], [1.66, 0.188]),
        optical("classifier.3", "Linear", [10, 64], [1, 2, 8], [1.92, 0.0951]),
    ]


def cost() -> dict[str, Any]:
    return {
        "boundaries": [
            {
                "name": "optics",
                "includes": "laser light and phase shifters",
                "energy_j": 9.1e-9,
                "latency_s": 4.2e-8,
            },
            {
                "name": "with converters",
                "includes": "the above, modulators, detectors, DACs and ADCs",
                "energy_j": 3.377e-8,
                "latency_s": 1.65e-7,
            },
            {
                "name": "with laser wall plug",
                "includes": "the above, and what the laser draws from the socket",
                "energy_j": 4.182e-8,
                "latency_s": 1.65e-7,
            },
        ],
        "parts": {
            "phase shifters": 7.1e-9,
            "laser light": 2.0e-9,
            "modulators and DACs": 1.034e-8,
            "detectors and ADCs": 1.433e-8,
            "laser wall plug": 8.05e-9,
        },
        "layers": [
            dict(zip(("name", "calls", "cores", "mzis", "energy_j", "latency_s"), row, strict=True))
            for row in (
                ("features.0", 1, 2, 162, 8.2e-10, 3e-8),
                ("features.3", 16, 64, 5184, 2.2e-8, 8e-8),
                ("classifier.1", 15, 120, 9720, 1.8e-8, 5e-8),
                ("classifier.3", 1, 16, 1296, 1e-9, 5e-9),
            )
        ],
        "counts": {"cores": 202, "mzis": 16362, "calls": 33, "parameters": 11466},
        "constants": [
            {"name": "ADC energy", "value": 2.55e-12, "unit": "J/sample", "source": "Liu et al., ISSCC 2022"},
            {
                "name": "phase shifter power",
                "value": 1.2e-3,
                "unit": "W",
                "source": "Harris et al., Optica 2014",
            },
            {"name": "MZI insertion loss", "value": 0.25, "unit": "dB", "source": "assumed"},
        ],
        "assumptions": [
            "Weights stay on the chip: programming is not counted.",
            "The layers follow one another; blocks of a layer work side by side.",
        ],
    }


def config() -> dict[str, Any]:
    return {
        "recipe": "onchip/digits",
        "data": {"name": "digits", "classes": 10},
        "model": {"name": "cnn", "channels": [16, 32]},
        "train": {"epochs": 12, "lr": 0.002, "batch": 64},
        "learn": {"epochs": 20, "feedback": {"keep": 0.6, "norm": "exp"}},
    }


def chip() -> dict[str, Any]:
    return {
        "name": "rectangle-9",
        "block_size": SIZE,
        "field": "real",
        "layout": "rectangle",
        "weight_bits": 8,
        "gamma_std": 0.002,
        "crosstalk": 0.005,
        "phase_bias": True,
    }


def phases(names: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    draw = np.random.default_rng(7)
    heaters = SIZE * (SIZE - 1) // 2
    tensors = {}
    for name in names:
        for mesh in ("u", "v"):
            commanded = draw.uniform(0, 2 * math.pi, heaters)
            tensors[f"{name}/{mesh}/commanded"] = commanded
            tensors[f"{name}/{mesh}/realised"] = commanded + draw.normal(0, 0.6, heaters)
    return tensors


def write_run(folder: Path) -> Path:
    """A whole run folder, as `lightloom run onchip/digits` leaves it."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "summary.json": summary(),
        "layers.json": layers(),
        "cost.json": cost(),
        "chip.json": chip(),
        "specimen.json": {"seed": 0, "chip": "rectangle-9"},
        "versions.json": {
            "lightloom": "0.1.0",
            "python": "3.12.4",
            "torch": "2.13.0",
            "platform": "Linux-x86_64",
            "threads": 2,
            "date": "2026-03-01",
        },
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in metrics()))
    (folder / "config.yaml").write_text(yaml.safe_dump(config(), sort_keys=False))
    save_phases(folder, [layer["name"] for layer in layers() if layer["converted"]])
    return folder


def save_phases(folder: Path, names: list[str]) -> None:
    metadata = {"size": str(SIZE), "layout": "rectangle", "field": "real"}
    save_file(phases(names), folder / "phases.safetensors", metadata)


def case(state: str, order: str, cells: tuple[float, float], levels: tuple[int, int]) -> dict[str, Any]:
    """One case of two layers; a cell takes 500,000 pulses."""
    worst = max(cells)
    return {
        "state": state,
        "order": order,
        "levels": sum(levels),
        "energy_j": 5e-10 * sum(levels),
        "latency_s": 2e-5 * worst,
        "worst_cell": worst,
        "worst_pair": 2 * worst,
        "first_failure": 5e5 / worst if worst else None,
        "first_failure_years": 5e5 / worst / 1e3 / 31557600 if worst else None,
        "one_percent_failed": 6e5 / worst if worst else None,
        "layers": [
            {"name": name, "arrays": 2, "turns": 12, "weights": 216, "levels": written, "worst_cell": cell}
            for name, cell, written in zip(("features.0", "features.3"), cells, levels, strict=True)
        ],
    }


def writes() -> dict[str, Any]:
    return {
        "chip": "elight",
        "rate_hz": 1000.0,
        "inferences": 0.0,
        "cases": [
            case("programmed", "as it comes", (200.0, 400.0), (60_000, 240_000)),
            case("programmed", "reordered", (25.0, 40.0), (20_000, 40_000)),
            case("learned", "as it comes", (200.0, 390.0), (58_000, 230_000)),
            case("learned", "reordered", (10.0, 20.0), (5_000, 7_000)),
        ],
        "index_bits": 1000,
        "weight_bits": 4000,
    }


def wear(size: int = 4) -> dict[str, np.ndarray[Any, Any]]:
    """Most on the first cell, as `writes` says; the last row of both signs is never written."""
    share = np.linspace(1, 0.25, 2 * size * size, dtype=np.float32).reshape(2, size, size)
    share[:, -1] = 0
    return {
        f"{layer['name']}/{case['state']}/{case['order']}": np.float32(layer["worst_cell"]) * share
        for case in writes()["cases"]
        for layer in case["layers"]
    }


def write_pcm_run(folder: Path) -> Path:
    """A whole run folder on a PCM chip, as `lightloom run pcm/digits` leaves it."""
    write_run(folder)
    (folder / "phases.safetensors").unlink()
    accuracy = {"electronic": 0.98, "programmed": 0.97, "learned": 0.975, "reordered": 0.975}
    in_cells = {"mzis": 0, "cells": 1536}
    kept = cost() | {"parts": {"cell writes": 7e-9, "laser light": 2e-9}, "counts": {"cells": 3824}}
    kept["layers"] = [layer | in_cells for layer in kept["layers"]]
    epochs = [
        {"stage": stage, "epoch": epoch, "loss": 1 / epoch}
        | ({"validation_writes": 60_000.0 / epoch} if stage == "learn" else {})
        for stage in ("train", "learn")
        for epoch in (1, 2, 3)
    ]
    contents = {
        "summary.json": summary() | {"recipe": "pcm/digits", "accuracy": accuracy, "learning": {}},
        "layers.json": [layer | in_cells for layer in layers()],
        "cost.json": kept,
        "chip.json": {"technology": "pcm", "name": "elight", "start": "erased", "sharing": "row_private"},
        "writes.json": writes(),
    }
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in epochs))
    save_file(wear(), folder / "wear.safetensors")
    return folder


@pytest.fixture
def made() -> SimpleNamespace:
    """What the run folder is made of: the functions above, by name."""
    return SimpleNamespace(
        size=SIZE,
        summary=summary,
        layers=layers,
        cost=cost,
        chip=chip,
        config=config,
        phases=phases,
        save_phases=save_phases,
        case=case,
        writes=writes,
        wear=wear,
    )


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run")


@pytest.fixture
def pcm_folder(tmp_path: Path) -> Path:
    return write_pcm_run(tmp_path / "pcm")


@pytest.fixture
def change(run_folder: Path) -> Any:
    """Changes one JSON file of the run: `change("summary.json", recipe="x")`."""

    def apply(name: str, **fields: Any) -> None:
        content = json.loads((run_folder / name).read_text())
        (run_folder / name).write_text(json.dumps(content | fields))

    return apply
