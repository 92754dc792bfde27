"""The whole of a run in one frozen description, and `key=value` to change any field of it."""

from lightloom.config.changes import from_yaml, override, read_value, to_yaml
from lightloom.config.detection import BackboneConfig, DetectConfig, ScenesConfig
from lightloom.config.detection3d import Detect3DConfig, MomentsConfig
from lightloom.config.parts import (
    DIFFRACTIVE_NETWORK,
    BenchConfig,
    Case,
    DataConfig,
    ModelConfig,
    OpticsConfig,
    SweepConfig,
    WearConfig,
)
from lightloom.config.whole import RunConfig, StageName
from lightloom.nn.backbones import HybridConfig

__all__ = [
    "DIFFRACTIVE_NETWORK",
    "BackboneConfig",
    "BenchConfig",
    "Case",
    "DataConfig",
    "Detect3DConfig",
    "DetectConfig",
    "HybridConfig",
    "ModelConfig",
    "MomentsConfig",
    "OpticsConfig",
    "RunConfig",
    "ScenesConfig",
    "StageName",
    "SweepConfig",
    "WearConfig",
    "from_yaml",
    "override",
    "read_value",
    "to_yaml",
]
