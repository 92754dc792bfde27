"""The sections that detectors of every kind have: backbone, optical stages, and their hardware."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from lightloom.chips import DiffractiveChip, diffractive
from lightloom.common.config import Section, at_most
from lightloom.nn.diffractive import Mixing


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


class DetectorOpticsConfig(Section):
    """Optics of a detector outside tensor cores."""

    diffraction: DiffractiveChip = diffractive("phoenix")
    """Hardware of its optical stages; a preset's name stands for the preset."""

    @field_validator("diffraction", mode="before")
    @classmethod
    def _preset(cls, given: Any) -> Any:
        return diffractive(given) if isinstance(given, str) else given
