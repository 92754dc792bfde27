"""The groups of fields of a detection run: which scenes, which backbone, what of it is light, who teaches it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lightloom.common.config import Section, at_most
from lightloom.data.detection import AugmentConfig
from lightloom.learn.distil import DistillationConfig
from lightloom.nn.diffractive import Mixing
from lightloom.tasks.detection2d import FCOSConfig


class ScenesConfig(Section):
    """Which images with boxes, and the frame they are brought into. Where their folders are, `data.root` says."""

    name: str = "shapes"
    """Data set, or `coco:PATH`, `voc:PATH`, `yolo:PATH` or `nuscenes:PATH` for your own."""
    limit: int | None = Field(None, ge=1)
    """Train on at most so many images; None is all."""
    count: Annotated[int, at_most(10_000_000, "every image is drawn and kept")] = Field(1000, ge=2)
    """Training images that are drawn, of `shapes`; a fifth as many to validate on, and to test on."""
    height: Annotated[int, at_most(8192, "maps of larger frames do not fit into memory")] = Field(128, ge=32)
    """Of the frame in pixels; every image is made as large as fits into it."""
    width: Annotated[int, at_most(8192, "maps of larger frames do not fit into memory")] = Field(128, ge=32)
    """Of the frame in pixels."""
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


class BackboneConfig(Section):
    """The electronic backbone that a hybrid starts from."""

    name: str = "regnetx-tiny"
    """A named size, such as `regnetx-800mf`, `resnet-tiny`, `vit-b`; a detector of `transformers` has its own."""
    size: Literal["tiny", "published"] = "tiny"
    """Of a detector of `transformers`."""
    pretrained: str | None = None
    """Folder or hub name of weights in safetensors; replaced stages leave theirs."""
    frozen: int | None = Field(None, ge=0)
    """Keep the stem and so many stages as they are, batch norms included; None trains all."""


class HybridConfig(Section):
    """Stages that light computes, on the chip `optics.diffraction`."""

    stages: tuple[int, ...] = ()
    """Which stages of the backbone, from 0; of a ViT, which blocks."""
    fit: Literal["map", "chip", "published"] = "map"
    """Grid and masks: made to fit the map of each stage, those of the chip, or those published for the stage."""
    mixing: Mixing = "depthwise"
    """dense: a path for each pair of channels, as published; grouped; depthwise: a path for each channel that comes in,
    mixed electronically; shared: one set of masks for all."""
    groups: Annotated[int, at_most(65536, "weights and activations would not fit into any memory")] = Field(1, ge=1)
    """Of channels, where the mixing is grouped."""
    bias: bool = False
    """Of every optical path."""
    channels: tuple[int, ...] | None = None
    """Of each optical stage; None keeps what the electronic one has."""
    layers: tuple[int, ...] | None = None
    """Phase layers of each optical stage; None is what the chip has."""
    blocks: Annotated[int, at_most(1000, "signals and gradients do not survive as many layers")] = Field(1, ge=1)
    """Optical blocks of a stage."""
    before_downsample: bool = True
    """Light takes the map before it is made smaller."""
    noise_std: Annotated[float, at_most(1e6, "features would be noise alone")] = Field(0.0, ge=0)
    """Of noise on features behind optical stages; published is 1 on 5 % of them."""
    noise_fraction: float = Field(0.05, ge=0, le=1)
    """Share of the features that get it."""
    memory_mb: float = Field(256.0, gt=0)
    """Bound of the complex fields of a layer with a path for each pair of channels."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for name, given in (("channels", self.channels), ("layers", self.layers)):
            if given is not None and len(given) != len(self.stages):
                raise ValueError(f"`{name}` has {len(given)} numbers for {len(self.stages)} stages; give one for each")
        return self


class DetectConfig(Section):
    """A detector: where it looks, what it is made of, and what it learns from."""

    scenes: ScenesConfig = ScenesConfig()
    kind: Literal["fcos", "rt-detr-v2", "d-fine", "deformable-detr"] = "fcos"
    """Detector: our own of one stage, or one of `transformers` with its own backbone, neck and head."""
    backbone: BackboneConfig = BackboneConfig()
    hybrid: HybridConfig = HybridConfig()
    head: FCOSConfig = FCOSConfig()
    distil: DistillationConfig = DistillationConfig()
    """`teacher` is a case of the comparison that comes before, or the folder of a run; "" learns from boxes alone."""
    start: Literal["scratch", "teacher"] = "scratch"
    """First weights: drawn, or the teacher's wherever they fit."""
    pictures: int = Field(6, ge=0)
    """Test images that the report shows with what each case found."""

    @model_validator(mode="after")
    def _starts_from_somebody(self) -> Self:
        if self.start == "teacher" and not self.distil.teacher:
            raise ValueError("`start: teacher` needs a teacher; name one in `distil.teacher`, or take `start: scratch`")
        return self
