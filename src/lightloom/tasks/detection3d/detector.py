"""BEVFormer and DETR3D in pure PyTorch: boxes around a vehicle from its cameras."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightloom.data.multicamera import Views
from lightloom.tasks.detection2d.base import DetectorBase
from lightloom.tasks.detection2d.pyramid import pyramid_on
from lightloom.tasks.detection3d.cameras import CameraMaps, shrunk
from lightloom.tasks.detection3d.decode import Boxes, decode
from lightloom.tasks.detection3d.decoder import Decoder
from lightloom.tasks.detection3d.encoder import Encoder, PreviousBEV
from lightloom.tasks.detection3d.losses import decoded_loss
from lightloom.tasks.detection3d.perspective import PerspectiveHead, PerspectiveOutput, perspective_loss
from lightloom.tasks.detection3d.queries import Source
from lightloom.tasks.detection3d.sizes import Detector3DConfig


class Detector3DOutput(NamedTuple):
    """What a detector makes of a batch; distillation reads the same names."""

    features: tuple[Tensor, ...]
    """Levels of the pyramid at the present moment [B * N, C, h, w]."""
    bev: Tensor | None
    """Map of the ground [B, C, rows, columns]; DETR3D has none."""
    class_logits: Tensor
    """After each layer of the decoder [L, B, Q, classes]."""
    codes: Tensor
    """[L, B, Q, 10]: centres in metres, sizes as logarithms; see `geometry.encode_boxes`."""
    references: Tensor
    """[L, B, Q, 3]: centres, 0 ... 1 within the area."""
    heat: Tensor | None = None
    """Logits of each class having a box in each cell of the ground [B, classes, rows, columns], where asked for."""
    perspective: PerspectiveOutput | None = None
    """What the camera maps themselves say, where asked for."""


class Detector3D(DetectorBase):
    """Backbone, pyramid, an encoder of the ground where there is one, and a decoder.

    Args:
        backbone: Gives the maps of its stages, each half as fine as the one before.
        classes: How many there are to tell apart.
        config: Everything else.

    Raises:
        RequestError: The pyramid is to start at a stage that the backbone has not, or with fewer levels than stages.
    """

    def __init__(self, backbone: nn.Module, classes: int, config: Detector3DConfig) -> None:
        super().__init__()
        self.config, self.classes, self.backbone = config, classes, backbone
        self.neck, self.strides = pyramid_on(backbone, config.first, config.levels, config.channels)
        self.encoder = Encoder(config) if config.kind == "bevformer" else None
        self.decoder = Decoder(config, classes)
        self.perspective = PerspectiveHead(config.channels, classes) if config.perspective else None

    def forward(self, views: Views) -> Detector3DOutput:
        """What there is around the vehicle at the last moment of each sample; earlier ones get no gradients."""
        cameras = self.camera_maps(views, -1)
        source: Source = cameras
        bev = None
        if self.encoder is not None:
            source = bev = self.encoder(cameras, self._before(views))
        decoded = self.decoder(source)
        perspective = None if self.perspective is None else self.perspective(cameras)
        return Detector3DOutput(
            cameras.maps, bev, decoded.class_logits, decoded.codes, decoded.references, decoded.heat, perspective
        )

    def camera_maps(self, views: Views, sample: int) -> CameraMaps:
        """Feature maps of the cameras at one sample of the history.

        Args:
            views: Images and calibration of a batch.
            sample: Place in the history; -1 is the present.
        """
        images = views.images[:, sample].flatten(0, 1)
        project, extent = views.project[:, sample], views.extent[:, sample]
        if self.config.shrink > 1:
            images = F.avg_pool2d(self.unit_range(images), self.config.shrink)
            project, extent = shrunk(project, extent, self.config.shrink)
        # channels last: convolutions on a CPU are a third faster
        pixels = self.standardise(images).contiguous(memory_format=torch.channels_last)
        maps = self.neck(self.backbone(pixels)[self.config.first :])
        return CameraMaps(maps, self.strides, project, extent, (int(pixels.shape[-2]), int(pixels.shape[-1])))

    def cameras(self, features: tuple[Tensor, ...], views: Views) -> CameraMaps:
        """Given feature maps, with the calibration of the present sample.

        Args:
            features: Maps such as `Detector3DOutput.features`.
            views: Images and calibration of the batch.
        """
        factor = self.config.shrink
        project, extent = shrunk(views.project[:, -1], views.extent[:, -1], factor)
        height, width = views.images.shape[-2:]
        return CameraMaps(features, self.strides, project, extent, (height // factor, width // factor))

    def terms(self, output: Detector3DOutput, targets: Tensor) -> dict[str, Tensor]:
        """The parts of the loss: `classes`, `boxes`, and where the config has them `heat` and `perspective`.

        Args:
            output: Of `forward`.
            targets: Padded boxes (x, y, z, w, l, h, yaw, vx, vy, label) in the ego frame [B, most, 10]; label -1 where
                there is none, NaN for velocities that are not known.
        """
        terms = decoded_loss(output, targets, self.config)
        if output.perspective is not None:
            terms["perspective"] = self.config.perspective * perspective_loss(output.perspective, targets)
        return terms

    def loss(self, output: Detector3DOutput, targets: Tensor) -> Tensor:
        """Sum of the parts, a scalar.

        Args:
            output: Output of `forward`.
            targets: Padded boxes, as of `terms`.
        """
        return torch.stack(list(self.terms(output, targets).values())).sum()

    def detect(self, output: Detector3DOutput) -> list[Boxes]:
        """Boxes in each frame of a batch, best first."""
        return decode(output.class_logits[-1], output.codes[-1], most=self.config.most, score=self.config.score)

    @property
    def head_modules(self) -> tuple[str, ...]:
        """Names of the parts behind the backbone."""
        return tuple(name for name in ("neck", "encoder", "decoder", "perspective") if getattr(self, name) is not None)

    @torch.no_grad()
    def _before(self, views: Views) -> PreviousBEV | None:
        """The ground at the moment before the present one, seen with what the moments before it left."""
        last = views.images.shape[1] - 1
        if self.encoder is None or not self.config.temporal or not bool(views.linked[:, last].any()):
            return None
        # what came before a moment that no sample links to its past is of no use to anyone
        unlinked = (~views.linked[:, :last].any(0)).nonzero().flatten().tolist()
        before: PreviousBEV | None = None
        with _in_eval(self):
            for sample in range(max(unlinked, default=0), last):
                bev = self.encoder(self.camera_maps(views, sample), before)
                before = PreviousBEV(bev, views.motion[:, sample + 1], views.linked[:, sample + 1])
        return before


@contextmanager
def _in_eval(module: nn.Module) -> Iterator[None]:
    """Every part in eval, and afterwards each as it was."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
