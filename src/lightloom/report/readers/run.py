"""A run folder, read and checked: every file is optional, none is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightloom.common.errors import RequestError
from lightloom.common.files import read_json_lines
from lightloom.common.records import check
from lightloom.report.readers.detection import Detections, read_detections, read_precisions
from lightloom.report.readers.detection3d import Detections3D, read_detections3d, read_precisions3d
from lightloom.report.readers.hybrid import Optics, read_hybrid, read_optics
from lightloom.report.readers.phases import Phases, read_phases
from lightloom.report.readers.sweep import Sweep, read_angles, read_curves, read_sweep
from lightloom.report.readers.writes import Wear, read_wear, read_writes
from lightloom.schemas import (
    ACCURACY,
    CostFile,
    EpochRow,
    Evaluation,
    GradientAngle,
    HybridFile,
    ImagePrecision,
    LayerRow,
    Metric,
    ResponseCurve,
    SpacePrecision,
    Summary,
    WritesFile,
    describe,
    read,
)

KNOWN_FILES = (
    "summary.json",
    "evaluation.json",
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


@dataclass(frozen=True)
class Run:
    """All that a run folder says."""

    summary: Summary = field(default_factory=Summary)
    evaluation: Evaluation | None = None
    epochs: tuple[EpochRow, ...] = ()
    layers: tuple[LayerRow, ...] = ()
    cost: CostFile = field(default_factory=CostFile)
    config: Mapping[str, Any] = field(default_factory=dict)
    chip: Mapping[str, Any] = field(default_factory=dict)
    specimen: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, Any] = field(default_factory=dict)
    phases: Phases | None = None
    writes: WritesFile | None = None
    wear: Wear = field(default_factory=dict)
    sweep: Sweep | None = None
    curves: tuple[ResponseCurve, ...] = ()
    angles: tuple[GradientAngle, ...] = ()
    detections: Detections | None = None
    precisions: tuple[ImagePrecision, ...] = ()
    optics: Optics = field(default_factory=Optics)
    hybrid: HybridFile = field(default_factory=HybridFile)
    detections3d: Detections3D | None = None
    precisions3d: tuple[SpacePrecision, ...] = ()
    folder: Path = Path()
    """Folder that all this was read from, for the files that a task has of its own."""

    @property
    def metric(self) -> Metric:
        """The primary metric of the run, accuracy where no file names one."""
        if self.evaluation is not None:
            return self.evaluation.metric
        if self.sweep is not None:
            return self.sweep.metric
        return self.summary.metric or describe(ACCURACY)

    @property
    def values(self) -> dict[str, float | None]:
        """The primary metric by state of the network, or by case of a comparison."""
        return self.summary.values or dict(self.evaluation.values if self.evaluation is not None else {})

    @property
    def stages(self) -> tuple[str, ...]:
        """Every state of the network that has a metric or an error, in order of appearance."""
        names = [*self.values, *(stage for layer in self.layers for stage in layer.errors)]
        return tuple(dict.fromkeys(names))

    @property
    def compares(self) -> bool:
        """Whether this is a comparison: its values are of cases, its trainings are of cases with a seed."""
        return self.sweep is not None or self.summary.sweep is not None

    @property
    def devices(self) -> tuple[str, ...]:
        """The kinds of devices that the layers are made of, as their files name them."""
        return tuple(dict.fromkeys(kind for layer in self.layers for kind in layer.counts))

    @property
    def chance(self) -> float | None:
        """The metric of a blind guess, where a file says it or the config names the number of classes."""
        stated = self.metric.chance if self.summary.metric is None else self.summary.metric.chance
        if stated is not None or self.metric.name != ACCURACY:
            return stated
        for key, value in flatten(self.config):
            if key.split(".")[-1] in ("classes", "num_classes") and isinstance(value, int | list):
                classes = value if isinstance(value, int) else len(value)
                return 1 / classes if classes > 1 else None
        return None


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a nested mapping under dotted names, as `key=value` on the command line reaches them.

    Args:
        mapping: A mapping of mappings.
        prefix: What goes before each name.
    """
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
    layers = tuple(read(folder / "layers.json", list[LayerRow], []))
    summary = read(folder / "summary.json", Summary, Summary())
    return Run(
        folder=folder,
        summary=summary,
        evaluation=read(folder / "evaluation.json", Evaluation, None),
        epochs=_read_epochs(folder / "metrics.jsonl"),
        layers=layers,
        cost=read(folder / "cost.json", CostFile, CostFile()),
        config=_read_config(folder / "config.yaml"),
        chip=read(folder / "chip.json", dict[str, Any], {}),
        specimen=read(folder / "specimen.json", dict[str, Any], {}),
        versions=read(folder / "versions.json", dict[str, Any], {}),
        phases=read_phases(folder / "phases.safetensors", [layer.name for layer in layers]),
        writes=read_writes(folder / "writes.json"),
        wear=read_wear(folder / "wear.safetensors"),
        sweep=read_sweep(folder / "sweep.json", summary),
        curves=read_curves(folder / "curves.json"),
        angles=read_angles(folder / "angles.json"),
        detections=read_detections(folder / "detections.json"),
        precisions=read_precisions(folder / "pr.json"),
        optics=read_optics(folder / "optics.safetensors"),
        hybrid=read_hybrid(folder / "hybrid.json"),
        detections3d=read_detections3d(folder / "detections3d.json", folder / "ground.safetensors"),
        precisions3d=read_precisions3d(folder / "pr3d.json"),
    )


def _read_epochs(path: Path) -> tuple[EpochRow, ...]:
    """The epochs by stage; of an epoch that was done twice, as after a resume, the later one counts."""
    try:
        lines = list(read_json_lines(path))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"`{path}` is not one JSON object per line: {error}.") from None
    epochs = check(path, list[EpochRow], lines)
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
