"""Which stages of a backbone light computes, and how."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lightloom.common.config import Section, at_most
from lightloom.nn.diffractive.conv import Mixing


class HybridConfig(Section):
    """Stages of a backbone that light computes, on diffractive hardware."""

    stages: tuple[int, ...] = ()
    """Stages of the backbone that light computes, from 0; of a ViT, its blocks."""
    fit: Literal["map", "chip", "published"] = "map"
    """Grid and masks: made to fit the map of each stage, those of the chip, or those published for the stage."""
    mixing: Mixing = "depthwise"
    """dense: a path for each pair of channels, as published; grouped; depthwise: a path for each channel that comes in,
    mixed electronically; shared: one set of masks for all."""
    groups: Annotated[int, at_most(65536, "weights and activations would not fit into any memory")] = Field(1, ge=1)
    """Groups of channels, where the mixing is grouped."""
    bias: bool = False
    """Whether every optical path has a bias."""
    channels: tuple[int, ...] | None = None
    """Channels of each optical stage; None keeps what the electronic one has. An optical block of a ViT has 128."""
    layers: tuple[int, ...] | None = None
    """Phase layers of each optical stage; None is what the chip has."""
    blocks: Annotated[int, at_most(1000, "signals and gradients do not survive as many layers")] = Field(1, ge=1)
    """Optical blocks of a stage; published is one."""
    before_downsample: bool = True
    """Whether light takes the map before the strided convolution makes it smaller; published is so."""
    noise_std: Annotated[float, at_most(1e6, "features would be noise alone")] = Field(0.0, ge=0)
    """Standard deviation of noise on features behind optical stages; published is 1 on 5 % of them."""
    noise_fraction: float = Field(0.05, ge=0, le=1)
    """Share of the features that get it."""
    memory_mb: float = Field(256.0, gt=0)
    """Bound of the complex fields of a layer with a path for each pair of channels."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        for name, values in (("channels", self.channels), ("layers", self.layers)):
            if values is not None and len(values) != len(self.stages):
                raise ValueError(f"`{name}` has {len(values)} numbers for {len(self.stages)} stages; give one for each")
        return self
