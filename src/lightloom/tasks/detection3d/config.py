"""A run that detects boxes around a vehicle: which moments, which detector, what of it is light, who teaches it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lightloom.chips import diffractive
from lightloom.common.config import Section, at_most
from lightloom.config import RunConfig
from lightloom.data.multicamera import ViewAugmentConfig
from lightloom.data.toytown import ToytownConfig
from lightloom.learn.distil import DistillationConfig
from lightloom.nn.backbones import HybridConfig
from lightloom.tasks.detection3d.distillers import DistillerConfig
from lightloom.tasks.detection3d.sizes import Detector3DConfig, detector_size
from lightloom.tasks.hybrid.config import BackboneConfig, DetectorOpticsConfig


class MultiCameraDataConfig(Section):
    """Moments of several cameras, and the frame of each image."""

    name: str = "toytown"
    """Data set, `toytown` or `nuscenes`, or `nuscenes:PATH` for a folder in that format."""
    version: str | None = None
    """Folder of the tables; None takes the largest official one that is there, or the only one."""
    cameras: tuple[str, ...] | None = None
    """Channels to look through; None takes all."""
    limit: int | None = Field(None, ge=1)
    """Train on at most so many scenes; None is all."""
    height: Annotated[int, at_most(8192, "maps of larger frames do not fit into memory")] = Field(96, ge=32)
    """Height of each frame in pixels; every image is made as large as fits into it."""
    width: Annotated[int, at_most(8192, "maps of larger frames do not fit into memory")] = Field(160, ge=32)
    """Width of each frame in pixels."""
    least_points: int = Field(1, ge=0)
    """Boxes with fewer points of lidar and radar on them are no targets."""
    town: ToytownConfig = ToytownConfig(reach=16)
    """What is built, where the set is `toytown`."""
    augment: ViewAugmentConfig = ViewAugmentConfig()
    """What is changed at random in the views of a training step."""
    root: Path | None = None
    """Folder with the sets' folders; None is `LIGHTLOOM_DATA`."""


class MultiCameraModelConfig(Section):
    """What a detector in space is made of."""

    backbone: BackboneConfig = BackboneConfig()
    hybrid: HybridConfig = HybridConfig()
    """Stages of the backbone that light computes, on the chip `optics.diffraction`."""
    converted: tuple[str, ...] = ()
    """Layers of the backbone that train on the chip `chip` from the start, by name or glob: "stages.3.*"."""
    detector: Detector3DConfig = detector_size("toy")
    """What follows the backbone; a size's name stands for the size."""

    @model_validator(mode="after")
    def _one_technology_for_a_layer(self) -> Self:
        if self.hybrid.stages and self.converted:
            raise ValueError(
                "`hybrid.stages` makes stages diffractive and `converted` puts layers on `chip`; give one of the two"
            )
        return self


class Detection3DConfig(RunConfig):
    """Everything that decides the outcome of a run that detects boxes around a vehicle."""

    task: Literal["detection3d"] = "detection3d"
    data: MultiCameraDataConfig = MultiCameraDataConfig()
    model: MultiCameraModelConfig = MultiCameraModelConfig()
    optics: DetectorOpticsConfig = DetectorOpticsConfig()
    distil: DistillationConfig = DistillationConfig(features=0.0)
    """`teacher` is a case of the comparison that comes before, or the folder of a run; "" learns from boxes alone."""
    guide: DistillerConfig = DistillerConfig()
    """What is learned from the teacher where objects are."""
    start: Literal["scratch", "head", "teacher"] = "scratch"
    """First weights: drawn; the teacher's for the decoder, as published for HeatmapDistiller; or wherever they fit."""
    pictures: int = Field(3, ge=0)
    """Moments of the test that the report shows with what each case found."""

    @classmethod
    def presets(cls) -> dict[str, Callable[[str], Section]]:
        """What looks up each group of fields that a preset's name may stand for, by the name of the group."""
        return {**super().presets(), "diffraction": diffractive, "detector": detector_size}

    @model_validator(mode="after")
    def _has_a_teacher_to_follow(self) -> Self:
        text = f"start: {self.start}" if self.start != "scratch" else "guide" if self.guide.kind != "none" else ""
        if text and not self.distil.teacher:
            raise ValueError(f"`{text}` needs a teacher; name one in `distil.teacher`, or leave it out")
        return self

    @model_validator(mode="after")
    def _puts_layers_on_the_chip_once(self) -> Self:
        if self.model.converted and "program" in self.stages:
            raise ValueError(
                "`model.converted` trains on the chip from the start; leave it out, or `program` and what follows out "
                "of `stages`"
            )
        return self
