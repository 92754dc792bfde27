"""What a run that detects in space leaves of it: `detections3d.json`, `ground.safetensors` and `pr3d.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightloom.common.errors import RequestError
from lightloom.report.readers.detection import read_picture
from lightloom.report.readers.hybrid import read_tensors
from lightloom.schemas import DetectedSample, DetectionFile3D, PrecisionFile3D, SpacePrecision, read

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_SAMPLES = 4
"""Samples that a page shows; pictures of others are not read."""
REACH = 2.0  # m between centres, within which an object counts as found
_GROUND, _HEATMAP = "ground", "heatmap"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Ground:
    """Maps of the ground of one sample, [rows, columns]: rows go along y, columns along x."""

    cases: Mapping[str, Array] = field(default_factory=dict)
    """How strong the features of each case are, over the channels."""
    heatmap: Array | None = None
    """Map of where a student listens to its teacher; None where none is stored."""


@dataclass(frozen=True)
class Detections3D:
    """What is listed, and of the samples that are shown the pictures, by camera, and the maps of the ground."""

    listed: DetectionFile3D
    pictures: tuple[tuple[Image, ...], ...]
    ground: tuple[Ground, ...]

    @property
    def shown(self) -> list[DetectedSample]:
        """The samples that a page shows."""
        return self.listed.frames[:MOST_SAMPLES]

    @property
    def cases(self) -> tuple[str, ...]:
        """Every case that looked at a sample, in order of appearance."""
        return tuple(dict.fromkeys(case for sample in self.listed.frames for case in sample.cases))


def read_detections3d(path: Path, ground: Path) -> Detections3D | None:
    """What was found at each sample, None where the file is absent.

    Args:
        path: Of `detections3d.json`.
        ground: Of the maps of the ground; it need not be there.

    Raises:
        RequestError: A file, or a picture that it names, cannot be read.
    """
    record = read(path, DetectionFile3D, None)
    if record is None:
        return None
    pictures = tuple(
        tuple(read_picture(path, camera.file, (camera.width, camera.height)) for camera in sample.cameras)
        for sample in record.frames[:MOST_SAMPLES]
    )
    return Detections3D(record, pictures, _read_ground(ground, record.frames))


def read_precisions3d(path: Path) -> tuple[SpacePrecision, ...]:
    """The curves in `pr3d.json`, none where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return tuple(read(path, PrecisionFile3D, PrecisionFile3D()).curves)


def _read_ground(path: Path, samples: list[DetectedSample]) -> tuple[Ground, ...]:
    """The maps of each sample that is shown, none where the file is absent."""
    if not path.is_file():
        return (Ground(),) * min(len(samples), MOST_SAMPLES)
    # a sample goes by its place, or by its token
    places = {sample.token: place for place, sample in enumerate(samples)}
    places |= {str(place): place for place in range(len(samples))}
    cases: list[dict[str, Array]] = [{} for _ in samples]
    heatmaps: dict[int, Array] = {}
    for name, tensor in read_tensors(path)[0].items():
        before, _, kind = name.rpartition("/")
        case, slash, sample = before.rpartition("/") if kind == _GROUND else ("", "/", before)
        if kind not in (_GROUND, _HEATMAP) or not slash:
            raise _wrong(path, name, f"expected names like `CASE/FRAME/{_GROUND}` and `FRAME/{_HEATMAP}`")
        if sample not in places:
            raise _wrong(path, name, f"`{sample}` is neither the number nor the token of one of {len(samples)} frames")
        if tensor.ndim != 2 or not tensor.size or not np.isfinite(tensor).all():
            raise _wrong(path, name, f"it has the shape {list(tensor.shape)}; expected [rows, columns], all finite")
        if kind == _GROUND:
            cases[places[sample]][case] = tensor
        else:
            heatmaps[places[sample]] = tensor
    return tuple(Ground(maps, heatmaps.get(place)) for place, maps in enumerate(cases[:MOST_SAMPLES]))


def _wrong(path: Path, name: str, problem: str) -> RequestError:
    return RequestError(f"`{path}` holds a tensor `{name}`: {problem}. Make the file again, or remove it.")
