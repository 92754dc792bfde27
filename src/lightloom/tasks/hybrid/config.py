"""The sections that detectors of every kind have: the backbone, and the hardware of its optical stages."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from lightloom.chips import DiffractiveChip, diffractive
from lightloom.common.config import Section


class BackboneConfig(Section):
    """The electronic backbone that a hybrid starts from."""

    name: str = "regnetx-tiny"
    """A named size, such as `regnetx-800mf`, `resnet-tiny`, `vit-b`; a detector of `transformers` has its own."""
    size: Literal["tiny", "published"] = "tiny"
    """Size of a detector of `transformers`."""
    pretrained: str | None = None
    """Folder or hub name of weights in safetensors; replaced stages leave theirs."""
    frozen: int | None = Field(None, ge=0)
    """Keep the stem and so many stages as they are, batch norms included; None trains all."""


class DetectorOpticsConfig(Section):
    """Optics of a detector outside tensor cores."""

    diffraction: DiffractiveChip = diffractive("phoenix")
    """Hardware of its optical stages; a preset's name stands for the preset."""

    @field_validator("diffraction", mode="before")
    @classmethod
    def _preset(cls, value: Any) -> Any:
        return diffractive(value) if isinstance(value, str) else value
