"""Detectors of boxes around a vehicle: what can be set, and named sizes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from lightloom.common.config import Section, at_most
from lightloom.common.errors import RequestError, nearest

_MEMORY = "what is built of it does not fit into any memory"


class Detector3DConfig(Section):
    """Pyramid, BEV map, decoder, loss and decoding. Defaults are those of the published BEVFormer base."""

    kind: Literal["bevformer", "detr3d"] = "bevformer"
    """Whether queries look at a BEV map that is made from the images, or at the images themselves."""
    channels: Annotated[int, at_most(65536, _MEMORY)] = Field(256, ge=2)
    """Channels of pyramid, BEV map and queries."""
    heads: Annotated[int, at_most(65536, _MEMORY)] = Field(8, ge=1)
    """Heads of every attention."""
    queries: Annotated[int, at_most(65536, _MEMORY)] = Field(900, ge=1)
    """Boxes that can be found in a frame, before classes."""
    start: Literal["learnt", "ground"] = "learnt"
    """Queries are learnt and the same for every frame, as published, or come from the cells of the BEV map that look
    most like a box, which needs far fewer steps of training."""
    decoder_layers: Annotated[int, at_most(100, _MEMORY)] = Field(6, ge=1)
    feedforward: Annotated[int, at_most(65536, _MEMORY)] = Field(512, ge=1)
    """Width within the feed-forward parts of encoder and decoder."""
    dropout: float = Field(0.1, ge=0, lt=1)
    first: Annotated[int, at_most(16, _MEMORY)] = Field(1, ge=0)
    """First stage of the backbone that the pyramid takes."""
    levels: Annotated[int, at_most(16, _MEMORY)] = Field(4, ge=1)
    """Number of levels of the pyramid."""
    cameras: Annotated[int, at_most(64, _MEMORY)] = Field(6, ge=1)
    """The most cameras that the detector can take; each has weights of its own."""
    rows: Annotated[int, at_most(4096, _MEMORY)] = Field(200, ge=1)
    """Rows of the BEV map, from right (least y) to left."""
    columns: Annotated[int, at_most(4096, _MEMORY)] = Field(200, ge=1)
    """Columns of the BEV map, from back (least x) to front."""
    encoder_layers: Annotated[int, at_most(100, _MEMORY)] = Field(6, ge=1)
    pillars: Annotated[int, at_most(256, _MEMORY)] = Field(4, ge=1)
    """Heights at which a cell of the ground looks into the cameras."""
    points: Annotated[int, at_most(1024, _MEMORY)] = Field(8, ge=1)
    """Points at which a cell looks in each level, a multiple of `pillars`."""
    ground_points: Annotated[int, at_most(1024, _MEMORY)] = Field(4, ge=1)
    """Points at which a cell or a query looks on the BEV map."""
    temporal: bool = True
    """Whether the BEV map is made with the one of the moment before."""
    history: Annotated[int, at_most(64, _MEMORY)] = Field(4, ge=1)
    """Moments that it is trained on, the present one included."""
    area: tuple[float, float, float, float, float, float] = (-51.2, -51.2, -5.0, 51.2, 51.2, 3.0)
    """x0, y0, z0, x1, y1, z1 in the ego frame, in metres: where boxes are looked for."""
    hits_only: bool = True
    """Cells look only into cameras that see them; without, into all, and what they cannot see counts for nothing."""
    shrink: Annotated[int, at_most(64, _MEMORY)] = Field(1, ge=1)
    """The images are averaged over squares of so many pixels first."""
    focal: float = Field(2.0, ge=0)
    """Weight of the class loss, also when predictions are matched with boxes."""
    box: float = Field(0.25, ge=0)
    """Weight of the L1 loss of the box codes, also when predictions are matched with boxes."""
    heat: float = Field(1.0, ge=0)
    """Weight of the class loss of the cells of the ground, where queries come from them."""
    perspective: float = Field(0.0, ge=0)
    """Weight of what the camera maps themselves are asked for, classes and depths; it helps a backbone without
    pretrained weights. 0 leaves that head out, as published."""
    velocity: float = Field(0.2, ge=0)
    """Weight of the two velocities within it."""
    most: int = Field(300, ge=1, le=500)
    """Detections in a frame; a results file of nuScenes may have 500."""
    score: float = Field(0.0, ge=0, lt=1)
    """Least score of a detection."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.channels % self.heads or self.channels % 2:
            raise ValueError(f"{self.channels} channels do not share out among {self.heads} heads, or are odd")
        if self.points % self.pillars:
            raise ValueError(f"{self.points} points do not share out among {self.pillars} pillars")
        if self.start == "ground" and self.kind != "bevformer":
            raise ValueError("queries `start` from the ground where there is a map of it; take kind `bevformer`")
        if any(low >= high for low, high in zip(self.area[:3], self.area[3:], strict=True)):
            raise ValueError(f"an area {self.area} has nothing in it; give x0, y0, z0, x1, y1, z1")
        return self


class Size(NamedTuple):
    """A detector with numbers."""

    backbone: str
    config: Detector3DConfig
    source: str


_TOWN = (-16.0, -16.0, -3.0, 16.0, 16.0, 3.0)
_TOY_EXPERT = Detector3DConfig(
    channels=64, heads=4, queries=100, decoder_layers=3, feedforward=128, levels=3, rows=16, columns=16,
    encoder_layers=1, points=4, history=2, area=_TOWN, dropout=0.0, start="ground", perspective=3.0,
)  # fmt: skip
_TOY = _TOY_EXPERT.replace(shrink=2, first=0, levels=4)
_ALONE: dict[str, Any] = {"kind": "detr3d", "temporal": False, "history": 1, "start": "learnt"}
_DETR3D = Detector3DConfig(kind="detr3d", temporal=False, history=1)
_OURS = "ours, for 160 x 96 images"
_BEVFORMER = "BEVFormer (Li et al., ECCV 2022), its backbone without deformable convolutions"

SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "toy-expert": Size("regnetx-tiny", _TOY_EXPERT, _OURS),
        "toy": Size("regnetx-tiny", _TOY, _OURS),
        "detr3d-toy-expert": Size("regnetx-tiny", _TOY_EXPERT.replace(**_ALONE), _OURS),
        "detr3d-toy": Size("regnetx-tiny", _TOY.replace(**_ALONE), _OURS),
        "base": Size("resnet-101", Detector3DConfig(), _BEVFORMER),
        "small": Size(
            "resnet-101",
            Detector3DConfig(first=3, levels=1, rows=150, columns=150, encoder_layers=3, history=3),
            _BEVFORMER,
        ),
        "focal-small": Size(
            "resnet-101",
            Detector3DConfig(first=0, rows=100, columns=100, encoder_layers=3, shrink=2),
            "the student of HeatmapDistiller (FocalDistiller, CVPR 2023): half-size images, strides 4 ... 32",
        ),
        "tiny": Size(
            "resnet-50",
            Detector3DConfig(first=3, levels=1, rows=50, columns=50, encoder_layers=3, history=3),
            _BEVFORMER,
        ),
        "detr3d-r101": Size("resnet-101", _DETR3D, "DETR3D (Wang et al., CoRL 2021), without deformable convolutions"),
        "detr3d-r50": Size("resnet-50", _DETR3D, "DETR3D (Wang et al., CoRL 2021), on the smaller ResNet"),
    }
)
"""Detectors by the name of their size; sources of the numbers are with them."""


def detector_size(name: str) -> Detector3DConfig:
    """The numbers of a named size, without its backbone.

    Raises:
        RequestError: There is no such size.
    """
    if name not in SIZES:
        raise RequestError(f"There is no detector `{name}`. {nearest(name, SIZES)}")
    return SIZES[name].config
