"""A run folder, read and checked: every file is optional, none is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lightloom.common.errors import RequestError
from lightloom.common.files import read_json_lines
from lightloom.common.records import check
from lightloom.report.readers.cost import Cost
from lightloom.report.readers.detection import Detections, Precision, read_detections, read_precisions
from lightloom.report.readers.detection3d import Detections3D, Precision3D, read_detections3d, read_precisions3d
from lightloom.report.readers.hybrid import Hybrid, Optics, read_hybrid, read_optics
from lightloom.report.readers.phases import Phases, read_phases
from lightloom.report.readers.schema_check import Amount, Fraction, Real, read_file
from lightloom.report.readers.sweep import Angle, Asked, Curve, Sweep, read_angles, read_curves, read_sweep
from lightloom.report.readers.writes import Wear, Writes, read_wear, read_writes

KNOWN_FILES = (
    "summary.json",
    "metrics.jsonl",
    "layers.json",
    "cost.json",
    "config.yaml",
    "chip.json",
    "specimen.json",
    "versions.json",
    "phases.safetensors",
    "writes.json",
    "sweep.json",
    "curves.json",
    "angles.json",
    "detections.json",
    "pr.json",
    "optics.safetensors",
    "hybrid.json",
    "detections3d.json",
    "pr3d.json",
)


class Learning(BaseModel):
    """What learning on the chip took."""

    chip_calls: Amount = None


class Summary(BaseModel):
    """The figures of a run: accuracy by stage (fractions, stages in order) and cost per inference."""

    recipe: str = ""
    seed: int | None = None
    accuracy: dict[str, Fraction] = {}
    chance: Fraction = None
    chip_calls: Amount = None
    energy_j: Amount = None
    latency_s: Amount = None
    learning: Learning = Learning()
    bench_calls: dict[str, Amount] = {}
    """Calls that calibration and mapping took, by the stage they left; one measures all blocks side by side."""
    seconds: dict[str, Amount] = {}
    overrides: list[str] = []
    sweep: Asked | None = None
    """Of a run that compares cases; `accuracy` then goes by case, not by stage."""


class Epoch(BaseModel, extra="allow"):
    """One line of `metrics.jsonl`; the metrics of the validation data stand under their own names."""

    stage: str
    epoch: int
    loss: Real = None
    validation_loss: Real = None
    validation_accuracy: Fraction = None
    validation_writes: Amount = None
    """Levels that one inference writes, on a PCM chip."""

    def validation(self, metric: str) -> float | None:
        """A metric of the validation data, None where there is none; runs of before called every one an accuracy.

        Args:
            metric: Its name, as `AP`.
        """
        value = (self.model_extra or {}).get(f"validation_{metric}", self.validation_accuracy)
        return float(value) if isinstance(value, int | float) and value >= 0 else None


class Layer(BaseModel):
    """One layer of the network: on the chip in blocks of MZIs or PCM cells, or left electronic for a reason."""

    name: str
    kind: str = ""
    converted: bool = False
    reason: str = ""
    shape: list[int] = []
    blocks: list[int] = []
    block_size: int | None = None
    mzis: int | None = None
    cells: int | None = None
    weight_error: Amount = None
    errors: dict[str, Amount] = {}


@dataclass(frozen=True)
class Run:
    """All that a run folder says."""

    summary: Summary = field(default_factory=Summary)
    epochs: tuple[Epoch, ...] = ()
    layers: tuple[Layer, ...] = ()
    cost: Cost = field(default_factory=Cost)
    config: Mapping[str, Any] = field(default_factory=dict)
    chip: Mapping[str, Any] = field(default_factory=dict)
    specimen: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    phases: Phases | None = None
    writes: Writes | None = None
    wear: Wear = field(default_factory=dict)
    sweep: Sweep | None = None
    curves: tuple[Curve, ...] = ()
    angles: tuple[Angle, ...] = ()
    detections: Detections | None = None
    precisions: tuple[Precision, ...] = ()
    optics: Optics = field(default_factory=Optics)
    hybrid: Hybrid = field(default_factory=Hybrid)
    detections3d: Detections3D | None = None
    precisions3d: tuple[Precision3D, ...] = ()

    @property
    def stages(self) -> tuple[str, ...]:
        """Every stage that has an accuracy or an error, in order of appearance."""
        names = [*self.summary.accuracy, *(stage for layer in self.layers for stage in layer.errors)]
        return tuple(dict.fromkeys(names))

    @property
    def compares(self) -> bool:
        """Whether this is a comparison: its accuracies are of cases, its trainings are of cases with a seed."""
        return self.sweep is not None or self.summary.sweep is not None

    @property
    def on_pcm(self) -> bool:
        """Whether the chip is a crossbar of PCM cells, not a mesh of MZIs."""
        return self.chip.get("technology") == "pcm" or self.writes is not None

    @property
    def chance(self) -> float | None:
        """Accuracy of a blind guess, where the summary says it or the config names the number of classes."""
        if self.summary.chance is not None:
            return self.summary.chance
        for key, value in flatten(self.config):
            if key.split(".")[-1] in ("classes", "num_classes") and isinstance(value, int | list):
                classes = value if isinstance(value, int) else len(value)
                return 1 / classes if classes > 1 else None
        return None


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested mapping under dotted names, as `key=value` on the command line reaches them."""
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def read_run(folder: Path) -> Run:
    """Read every known file that `folder` has.

    Raises:
        RequestError: There is none, or one of them cannot be read; the text names the file.
    """
    if not any((folder / name).is_file() for name in KNOWN_FILES):
        expected = ", ".join(f"`{name}`" for name in KNOWN_FILES)
        raise RequestError(
            f"`{folder}` holds no file of a run. A run folder has at least one of {expected}. "
            "Name the folder that `lightloom run` printed."
        )
    layers = tuple(read_file(folder / "layers.json", list[Layer], []))
    summary = read_file(folder / "summary.json", Summary, Summary())
    return Run(
        summary=summary,
        epochs=_read_epochs(folder / "metrics.jsonl"),
        layers=layers,
        cost=read_file(folder / "cost.json", Cost, Cost()),
        config=_read_config(folder / "config.yaml"),
        chip=read_file(folder / "chip.json", dict[str, Any], {}),
        specimen=read_file(folder / "specimen.json", dict[str, Any], {}),
        versions=read_file(folder / "versions.json", dict[str, Any], {}),
        phases=read_phases(folder / "phases.safetensors", [layer.name for layer in layers]),
        writes=read_writes(folder / "writes.json"),
        wear=read_wear(folder / "wear.safetensors"),
        sweep=read_sweep(folder / "sweep.json", summary.sweep),
        curves=read_curves(folder / "curves.json"),
        angles=read_angles(folder / "angles.json"),
        detections=read_detections(folder / "detections.json"),
        precisions=read_precisions(folder / "pr.json"),
        optics=read_optics(folder / "optics.safetensors"),
        hybrid=read_hybrid(folder / "hybrid.json"),
        detections3d=read_detections3d(folder / "detections3d.json", folder / "ground.safetensors"),
        precisions3d=read_precisions3d(folder / "pr3d.json"),
    )


def _read_epochs(path: Path) -> tuple[Epoch, ...]:
    """The epochs by stage; of an epoch that was done twice, as after a resume, the later one counts."""
    try:
        lines = list(read_json_lines(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"`{path}` is not one JSON object per line: {error}.") from None
    epochs = check(path, list[Epoch], lines)
    return tuple({(epoch.stage, epoch.epoch): epoch for epoch in epochs}.values())


def _read_config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    import yaml

    try:
        content = yaml.safe_load(path.read_bytes().decode("utf-8"))
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise RequestError(f"`{path}` is not YAML: {' '.join(str(error).split())}.") from None
    return check(path, dict[str, Any], content)
