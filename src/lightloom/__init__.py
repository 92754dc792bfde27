"""Lightloom puts neural networks on photonic chips.

>>> import lightloom
>>> chip = lightloom.chips.preset("l2ight")
>>> conversion = lightloom.nn.convert(model, chip)
"""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.metadata import version
from types import ModuleType

__version__ = version("lightloom")
logging.getLogger("lightloom").addHandler(logging.NullHandler())  # programs decide what is shown

_ROOMS = (
    "bench",
    "chips",
    "cost",
    "data",
    "explore",
    "export",
    "lab",
    "learn",
    "nn",
    "physics",
    "recipes",
    "report",
    "tasks",
)
__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> ModuleType:
    """Open a room when it is first entered: importing lightloom alone loads nothing heavy."""
    if name in _ROOMS:
        return import_module(f"lightloom.{name}")
    raise AttributeError(f"module `lightloom` has no attribute `{name}`")
