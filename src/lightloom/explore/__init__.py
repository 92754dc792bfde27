"""Which chip for which network: accuracy over many manufactured chips against energy, time and area.

>>> from lightloom import chips, explore
>>> config = explore.ExploreConfig(axes=("chip.block_size=4,8,16",))
>>> result = explore.explore(model, chips.preset("noems"), images, config)
>>> explore.write(folder, result)
>>> print(explore.sensitivity(model, chips.preset("noems"), images))
"""

from lightloom.explore.config import ExploreConfig, SensitivityConfig
from lightloom.explore.engine import Engine
from lightloom.explore.pareto import MORE_IS_BETTER, front
from lightloom.explore.sensitivity import CustomScore, Sensitivity, sensitivity
from lightloom.explore.space import Axis, DesignPoint, Space, parse_axis, space
from lightloom.explore.sweep import explore
from lightloom.explore.table import as_text, check, write
from lightloom.explore.yields import accuracies, sequential

__all__ = [
    "MORE_IS_BETTER",
    "Axis",
    "CustomScore",
    "DesignPoint",
    "Engine",
    "ExploreConfig",
    "Sensitivity",
    "SensitivityConfig",
    "Space",
    "accuracies",
    "as_text",
    "check",
    "explore",
    "front",
    "parse_axis",
    "sensitivity",
    "sequential",
    "space",
    "write",
]
