"""What a toy town is made of: scenes, cameras, the density of things, and the seed of every draw."""

from __future__ import annotations

from pydantic import Field, field_validator

from lightloom.common.config import Section

CHANNELS = ("CAM_FRONT", "CAM_FRONT_RIGHT", "CAM_FRONT_LEFT", "CAM_BACK", "CAM_BACK_LEFT", "CAM_BACK_RIGHT")
"""The six cameras, named and ordered as those of nuScenes usually are."""

SPLITS = ("train", "val", "test")
"""Names of the splits, in the order of `ToytownConfig.scenes`."""

VERSION = "v1.0-toytown"
"""Name of the folder of the tables."""


class ToytownConfig(Section):
    """A synthetic world around a vehicle with cameras.

    A scene depends on the seed, on its split and place there, and on `frames`, `reach` and `density`; so a set of more
    scenes contains those of a smaller one.
    """

    scenes: tuple[int, int, int] = (96, 12, 24)
    """Scenes to train, validate and test on."""
    frames: int = Field(default=6, ge=1, le=200)
    """Key frames of a scene, 0.5 s apart."""
    width: int = Field(default=160, ge=32, le=1600)
    """Width of an image in pixels."""
    height: int = Field(default=96, ge=24, le=900)
    """Height of an image in pixels."""
    cameras: tuple[str, ...] = CHANNELS
    """Channels that the vehicle has, among `CHANNELS`."""
    reach: float = Field(default=24.0, ge=10.0, le=40.0)
    """m: objects are there while both |x| and |y| from the vehicle are at most this; beyond are houses and trees."""
    density: float = Field(default=1.0, ge=0.1, le=2.0)
    """Density of objects; 1 is about 15 within reach."""
    lidar: bool = False
    """Also write point clouds of a LiDAR, and count its points on each object instead of pixels."""
    seed: int = Field(default=0, ge=0)
    """Seed of every draw."""

    @field_validator("scenes")
    @classmethod
    def _check_scenes(cls, scenes: tuple[int, int, int]) -> tuple[int, int, int]:
        if min(scenes) < 0 or scenes[0] < 1:
            raise ValueError("give at least 1 scene to train on, and no negative number")
        return scenes

    @field_validator("cameras")
    @classmethod
    def _check_cameras(cls, cameras: tuple[str, ...]) -> tuple[str, ...]:
        if not cameras or len(set(cameras)) < len(cameras) or not set(cameras) <= set(CHANNELS):
            raise ValueError(f"choose among {', '.join(CHANNELS)}, each once, at least one")
        return cameras
