"""One claim per bench, measured as ratios within one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _mesh(seed: int) -> dict[str, Any]:
    from lightloom.bench.mesh import mesh

    return mesh(seed=seed)


def _layer(seed: int) -> dict[str, Any]:
    from lightloom.bench.layer import layer

    return layer(seed=seed)


BENCHES: dict[str, Callable[[int], dict[str, Any]]] = {"mesh": _mesh, "layer": _layer}
"""By name; each takes a seed and returns plain values."""
