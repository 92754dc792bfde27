"""What a run with optical stages leaves of them: `optics.safetensors` and `hybrid.json`, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from lightloom.common.errors import RequestError
from lightloom.common.records import check
from lightloom.schemas import HybridFile, read
from lightloom.schemas.base import Length

_KINDS = {"masks": (4, "[paths, K, N, N]"), "light": (3, "[planes, M, M]"), "image": (2, "[h, w]")}
_FEATURES = "features"


class Geometry(BaseModel):
    """How the light of a layer goes, from the metadata of `optics.safetensors`; lengths in m."""

    pixel: Length
    wavelength: Length
    distances: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]] = []
    """Distances to the first mask, from mask to mask and to the detector, in m; the last holds for what follows."""
    mixing: str = ""
    paths: int | None = Field(None, ge=0)

    def depths(self, planes: int) -> list[float]:
        """How far behind the input each of so many planes lies, in m; nothing where no distance is known."""
        if not self.distances:
            return []
        steps = [self.distances[min(index, len(self.distances) - 1)] for index in range(planes - 1)]
        return [sum(steps[:index]) for index in range(planes)]


@dataclass(frozen=True)
class OpticalLayer:
    """One optical layer of one case; what was not stored is None."""

    case: str
    name: str
    masks: NDArray[np.float64] | None = None
    """[paths, K, N, N], phases in turns."""
    light: NDArray[np.float64] | None = None
    """[planes, M, M], intensity of one path: at the input, before the first mask, and one distance after each."""
    image: NDArray[np.float64] | None = None
    """[h, w], what the detector reads."""
    geometry: Geometry | None = None


@dataclass(frozen=True)
class Optics:
    """The whole of `optics.safetensors`; `features[case][stage]` is [h, w], the mean over the channels."""

    layers: tuple[OpticalLayer, ...] = ()
    features: Mapping[str, Mapping[str, NDArray[np.float64]]] = field(default_factory=dict)


def read_hybrid(path: Path) -> HybridFile:
    """The cost of each case, of none where the file is absent.

    Raises:
        RequestError: The file cannot be read.
    """
    return read(path, HybridFile, HybridFile())


def read_optics(path: Path) -> Optics:
    """The masks, the light and the feature maps of a run, none where the file is absent.

    Raises:
        RequestError: The file is not safetensors, or a tensor in it is not what its name says.
    """
    if not path.is_file():
        return Optics()
    flat, metadata = read_tensors(path)
    layers: dict[tuple[str, str], dict[str, NDArray[np.float64]]] = {}
    features: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, tensor in flat.items():
        if name.count("|") < 2:
            raise _wrong(path, name, "expected names like `CASE|LAYER|masks` or `CASE|features|STAGE`")
        case, middle, last = name.rsplit("|", 2)
        _check(path, name, tensor, "image" if middle == _FEATURES else last)
        if middle == _FEATURES:
            features.setdefault(case, {})[last] = tensor
        else:
            layers.setdefault((case, middle), {})[last] = tensor
    return Optics(
        tuple(
            OpticalLayer(case, layer, **tensors, geometry=_geometry(path, metadata.get(f"{case}|{layer}"), case, layer))
            for (case, layer), tensors in layers.items()
        ),
        features,
    )


def read_tensors(path: Path) -> tuple[dict[str, NDArray[np.float64]], dict[str, str]]:
    """The tensors of a safetensors file by name, in float64, and its metadata.

    Raises:
        RequestError: It is no such file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as stored:
            flat = {name: np.asarray(stored.get_tensor(name), dtype=np.float64) for name in stored.keys()}  # noqa: SIM118
            return flat, stored.metadata() or {}
    except SafetensorError as error:
        raise RequestError(f"`{path}` is not a safetensors file: {error}.") from None


def _check(path: Path, name: str, tensor: NDArray[np.float64], kind: str) -> None:
    if kind not in _KINDS:
        kinds = ", ".join(f"`{other}`" for other in _KINDS)
        raise _wrong(path, name, f"the last part of a name is one of {kinds}, or a stage after `{_FEATURES}`")
    dimensions, shape = _KINDS[kind]
    if tensor.ndim != dimensions or not tensor.size:
        raise _wrong(path, name, f"it has the shape {list(tensor.shape)}; expected {shape}")
    if not np.isfinite(tensor).all():
        raise _wrong(path, name, "it holds values that are not finite")
    if kind == "light" and (tensor < 0).any():
        raise _wrong(path, name, "it holds intensities below 0")


def _wrong(path: Path, name: str, problem: str) -> RequestError:
    return RequestError(f"`{path}` holds a tensor `{name}`: {problem}. Make the file again, or remove it.")


def _geometry(path: Path, text: str | None, case: str, layer: str) -> Geometry | None:
    if text is None:
        return None
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise RequestError(f"`{path}` has metadata of `{case}|{layer}` that is not JSON: {error}.") from None
    return check(path, Geometry, content)
