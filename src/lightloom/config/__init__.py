"""What a run of any task is described by, in one frozen record, and `key=value` to change any field of it."""

from lightloom.config.changes import override, read_value, read_values, to_yaml
from lightloom.config.parts import CalibrationConfig, Case, SweepConfig, WearConfig
from lightloom.config.run import RunConfig, StageName

__all__ = [
    "CalibrationConfig",
    "Case",
    "RunConfig",
    "StageName",
    "SweepConfig",
    "WearConfig",
    "override",
    "read_value",
    "read_values",
    "to_yaml",
]
