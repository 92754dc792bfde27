"""A run that detects objects in images: which images, which detector, what of it is light, who teaches it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lightloom.chips import diffractive
from lightloom.common.config import Section, at_most
from lightloom.config import RunConfig
from lightloom.data.detection import AugmentConfig
from lightloom.learn.distil import DistillationConfig
from lightloom.nn.backbones import HybridConfig
from lightloom.tasks.detection2d.fcos import FCOSConfig
from lightloom.tasks.hybrid.config import BackboneConfig, DetectorOpticsConfig


class DetectionDataConfig(Section):
    """Images with boxes, and the frame that they are brought into."""

    name: str = "shapes"
    """Data set, or `coco:PATH`, `voc:PATH`, `yolo:PATH` or `nuscenes:PATH` for your own."""
    limit: int | None = Field(None, ge=1)
    """Train on at most so many images; None is all."""
    count: Annotated[int, at_most(10_000_000, "every image is drawn and kept")] = Field(1000, ge=2)
    """Training images that are drawn, of `shapes`; a fifth as many to validate on, and to test on."""
    height: Annotated[int, at_most(8192, "maps of larger frames do not fit into memory")] = Field(128, ge=32)
    """Height of the frame in pixels; every image is made as large as fits into it."""
    width: Annotated[int, at_most(8192, "maps of larger frames do not fit into memory")] = Field(128, ge=32)
    """Width of the frame in pixels."""
    on_invalid: Literal["skip", "any", "fail"] = "skip"
    """What becomes of a box or an image that cannot be as it is written: left out and reported, or an error. A split
    that loses more than it keeps is refused, unless it is `any`."""
    decode: bool = True
    """Decode every image once when the set is read, which finds torn ones; false looks at headers alone, for sets of a
    hundred thousand images."""
    white: float | None = Field(None, gt=0)
    """Value that is white in images of more than 8 bits; None takes the least bit depth that holds all of the set."""
    augment: AugmentConfig = AugmentConfig()
    """What is changed at random in the images of a training step."""
    root: Path | None = None
    """Folder with the sets' folders; None is `LIGHTLOOM_DATA`."""


class DetectorConfig(Section):
    """What a detector is made of."""

    kind: Literal["fcos", "rt-detr-v2", "d-fine", "deformable-detr"] = "fcos"
    """Detector: our own of one stage, or one of `transformers` with its own backbone, neck and head."""
    backbone: BackboneConfig = BackboneConfig()
    hybrid: HybridConfig = HybridConfig()
    """Stages of the backbone that light computes, on the chip `optics.diffraction`."""
    head: FCOSConfig = FCOSConfig()


class Detection2DConfig(RunConfig):
    """Everything that decides the outcome of a run that detects objects in images."""

    task: Literal["detection2d"] = "detection2d"
    data: DetectionDataConfig = DetectionDataConfig()
    model: DetectorConfig = DetectorConfig()
    optics: DetectorOpticsConfig = DetectorOpticsConfig()
    distil: DistillationConfig = DistillationConfig()
    """`teacher` is a case of the comparison that comes before, or the folder of a run; "" learns from boxes alone."""
    start: Literal["scratch", "teacher"] = "scratch"
    """First weights: drawn, or the teacher's wherever they fit."""
    pictures: int = Field(6, ge=0)
    """Test images that the report shows with what each case found."""

    @classmethod
    def presets(cls) -> dict[str, Callable[[str], Section]]:
        """What looks up each group of fields that a preset's name may stand for, by the name of the group."""
        return {**super().presets(), "diffraction": diffractive}

    @model_validator(mode="after")
    def _starts_from_a_teacher(self) -> Self:
        if self.start == "teacher" and not self.distil.teacher:
            raise ValueError("`start: teacher` needs a teacher; name one in `distil.teacher`, or take `start: scratch`")
        return self
