"""What a 3-D detector learns from its teacher beside the maps that any model has."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from lightloom.common.config import Section


class HeatmapConfig(Section):
    """The BEV map under a Gaussian mask. Defaults are those of HeatmapDistiller, as released.

    Its other half, the channels of the camera maps, is `DistillationConfig(channels=0.25, temperature=2)`.
    """

    weight: float = Field(0.1, ge=0)
    """Weight of the term, which is summed over channels and averaged over the mask."""
    form: Literal["l2", "kl"] = "l2"
    """Square distance, or (ours) the divergence of the distributions over the channels of each cell."""
    temperature: float = Field(1.0, gt=0)
    """Softens the distributions of `kl`."""
    normalise: bool = False
    """Whether each channel of the teacher's map is brought to mean 0 and variance 1 over the batch first."""
    cell: float = Field(0.8, gt=0)
    """Side in metres of the cells that the mask is drawn on, before it is brought to those of the map."""
    overlap: float = Field(0.1, gt=0, lt=1)
    """How much of a box that is moved by the radius of its Gaussian still covers it."""
    least: int = Field(2, ge=0)
    """Least radius in such cells."""


class FocalConfig(Section):
    """Focal distillation. Its loss was never released: every weight and number here is ours, the parts are published.

    All terms are means that depend neither on the scale of the teacher's maps nor on the number of cells, cameras,
    channels and layers. With the default weights each is 0.2 to 0.5 of the loss of a `toy` student when its training
    begins.
    """

    head: float = Field(1.0, ge=0)
    """Weight of the detection loss of the distillation head; at 0 the head stays the teacher's own, frozen."""
    pv: float = Field(2.0, ge=0)
    """Weight of generative distillation of the camera maps (perspective view)."""
    bev: float = Field(3.0, ge=0)
    """Weight of generative distillation of the BEV map (bird's-eye view); counts for nothing where there is none."""
    focal: float = Field(2.0, ge=0)
    """Weight of focal distillation: what each query samples from both maps."""
    queries: bool = True
    """Whether the objects that the distillation head finds count in the masks."""
    truth: bool = True
    """Whether the true objects count in the masks."""
    score: float = Field(0.2, ge=0, lt=1)
    """Least score at which the head has found an object."""
    top: int = Field(100, ge=1)
    """The most objects that it finds, best first."""
    drop: float = Field(0.65, ge=0, lt=1)
    """Share of the cells on objects that the generator must restore; the default is that of masked generative
    distillation of detectors."""
    background: float = Field(0.1, ge=0, le=1)
    """What cells beside objects count in generative distillation, where those on objects count 1."""
    hidden: int = Field(32, ge=0)
    """Channels within a generator, a small number being most of what the distiller saves; 0 takes those of the map."""

    @model_validator(mode="after")
    def _masks_have_something_in_them(self) -> Self:
        if (self.pv or self.bev) and not (self.queries or self.truth):
            raise ValueError("the masks of `pv` and `bev` are of `queries`, `truth` or both; switch one on")
        return self


class DistillerConfig(Section):
    """The distiller of a student, if any."""

    kind: Literal["none", "heatmap", "fd3d"] = "none"
    """None, the BEV map near true objects (HeatmapDistiller), or focal distillation (FD3D)."""
    heatmap: HeatmapConfig = HeatmapConfig()
    fd3d: FocalConfig = FocalConfig()
