"""One claim per bench, measured as ratios or counts within one run."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from typing import Any

from lightloom.common.errors import RequestError, nearest

BENCHES = {
    "mesh": "mesh.build:mesh",
    "layer": "layer:layer",
    "calibrate": "mesh.calibrate:calibrate",
    "map": "mesh.map:map",
    "zeroth-order": "mesh.zeroth_order:zeroth_order",
    "subspace": "mesh.subspace:subspace",
    "writes": "pcm.writes:writes",
    "reorder": "pcm.reorder:reorder",
    "pcm-train": "pcm.train:pcm_train",
    "absorber": "absorber:absorber",
    "optical-step": "optical_step:optical_step",
    "diffraction": "diffraction:diffraction",
    "detect3d": "detect3d:detect3d",
    "convert": "convert:convert",
    "architectures": "architectures:architectures",
    "cost": "cost:cost",
    "yield": "yield_:yield_",
}
"""Module and function of each, by name; a function takes a seed and what else it can vary, and returns plain values."""


def bench(name: str, **options: Any) -> dict[str, Any]:
    """Measure one claim.

    Args:
        name: One of `BENCHES`.
        **options: What to vary, such as `seed`, `blocks` or `readout_std`; None is the bench's own choice.

    Raises:
        RequestError: There is no such bench, or it does not vary one of these.
    """
    if name not in BENCHES:
        raise RequestError(f"There is no bench `{name}`. {nearest(name, BENCHES)}")
    module, _, function = BENCHES[name].partition(":")
    measure: Callable[..., dict[str, Any]] = getattr(import_module(f"lightloom.bench.{module}"), function)
    arguments = {option: value for option, value in options.items() if value is not None}
    parameters = inspect.signature(measure).parameters
    for option in arguments:
        if option not in parameters:
            raise RequestError(f"The bench `{name}` does not vary `{option}`; it takes {', '.join(parameters)}.")
    return measure(**arguments)
