"""The whole of a run in one frozen description, and `key=value` to change any field of it."""

from lightloom.config.changes import from_yaml, override, read_value, to_yaml
from lightloom.config.parts import BenchConfig, Case, DataConfig, ModelConfig, OpticsConfig, SweepConfig, WearConfig
from lightloom.config.whole import RunConfig, StageName

__all__ = [
    "BenchConfig",
    "Case",
    "DataConfig",
    "ModelConfig",
    "OpticsConfig",
    "RunConfig",
    "StageName",
    "SweepConfig",
    "WearConfig",
    "from_yaml",
    "override",
    "read_value",
    "to_yaml",
]
