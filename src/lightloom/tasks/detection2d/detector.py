"""A single-stage detector: any backbone, a feature pyramid and the head of FCOS."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lightloom.tasks.detection2d.base import DetectorBase
from lightloom.tasks.detection2d.boxes import Detections, nms
from lightloom.tasks.detection2d.fcos import FCOSConfig, FCOSHead, points, reach_of
from lightloom.tasks.detection2d.pyramid import pyramid_on
from lightloom.tasks.detection2d.targets import assign, fcos_loss

_CANDIDATES = 2000  # of an image, over levels and classes: what all pairs of are compared


class DetectorOutput(NamedTuple):
    """What a detector makes of a batch, level by level; distillation reads the same names."""

    features: tuple[Tensor, ...]
    """Maps of the backbone's stages [B, channels, h, w]."""
    pyramid: tuple[Tensor, ...]
    """Levels [B, channels, h, w]."""
    logits: tuple[Tensor, ...]
    """Class logits of each level [B, C, h, w]."""
    boxes: tuple[Tensor, ...]
    """Distances to left, top, right and bottom edge in pixels [B, 4, h, w]."""
    objectness: tuple[Tensor, ...]
    """Centerness logits [B, 1, h, w]."""

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Rows and columns of each level."""
        return [(int(level.shape[-2]), int(level.shape[-1])) for level in self.logits]


class Detector(DetectorBase):
    """Backbone, pyramid and head.

    Args:
        backbone: Gives the maps of its stages, each half as fine as the one before.
        classes: How many there are to tell apart.
        config: Neck, head, losses, decoding.

    Raises:
        RequestError: The pyramid is to start at a stage that the backbone has not, or with fewer levels than stages.
    """

    def __init__(self, backbone: nn.Module, classes: int, config: FCOSConfig) -> None:
        super().__init__()
        self.config, self.classes, self.backbone = config, classes, backbone
        self.neck, self.strides = pyramid_on(backbone, config.first, config.levels, config.channels)
        self.head = FCOSHead(config, classes, self.strides)

    def forward(self, images: Tensor) -> DetectorOutput:
        """Images [B, 3, H, W], uint8 or 0 ... 1, to what each level says of them."""
        features = self.backbone(self.standardise(images))
        pyramid = self.neck(features[self.config.first :])
        logits, boxes, centres = self.head(pyramid)
        return DetectorOutput(tuple(features), pyramid, logits, boxes, centres)

    def terms(self, output: DetectorOutput, targets: Tensor) -> dict[str, Tensor]:
        """`classes`, `boxes` and `centres`: the three parts of the loss.

        Args:
            output: Of `forward`.
            targets: (x0, y0, x1, y1, label) in pixels [B, most, 5]; label -1 where there is no object.
        """
        places, strides, reach = self.places(output.shapes)
        assigned = assign(places, strides, reach, targets, self.config.centre)
        logits, boxes, centres = (_points(part) for part in (output.logits, output.boxes, output.objectness))
        return fcos_loss(logits, boxes, centres[..., 0], assigned, self.config)

    def loss(self, output: DetectorOutput, targets: Tensor) -> Tensor:
        """Sum of the three parts, a scalar.

        Args:
            output: Output of `forward`.
            targets: Padded targets, as of `terms`.
        """
        return torch.stack(list(self.terms(output, targets).values())).sum()

    @property
    def head_modules(self) -> tuple[str, ...]:
        """Names of the parts behind the backbone."""
        return "neck", "head"

    def places(self, shapes: list[tuple[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
        """Points [P, 2], strides [P] and reach [P, 2] of all levels, in pixels."""
        device = self.mean.device
        counts = torch.tensor([rows * columns for rows, columns in shapes], device=device)
        where = [points(shape, stride, device) for shape, stride in zip(shapes, self.strides, strict=True)]
        strides = torch.tensor(self.strides, dtype=torch.float32, device=device)
        reach = torch.tensor(reach_of(self.strides, self.config.reach), device=device)
        return torch.cat(where), strides.repeat_interleave(counts), reach.repeat_interleave(counts, 0)

    @torch.no_grad()
    def detect(self, output: DetectorOutput, frame: tuple[int, int]) -> list[Detections]:
        """Objects in each image of a batch.

        Args:
            output: Of `forward`.
            frame: Height and width of the images in pixels; boxes are cut there.
        """
        candidates = [[self._candidates(output, level, image) for level in range(len(self.strides))]
                 for image in range(len(output.logits[0]))]  # fmt: skip
        return [self._suppress(levels, frame) for levels in candidates]

    def _candidates(self, output: DetectorOutput, level: int, image: int) -> Detections:
        """The best points of one level: class scores above the threshold, times centerness."""
        logits = output.logits[level][image].flatten(1).float()  # [C, P]
        chances = logits.sigmoid()
        scores = chances * output.objectness[level][image].flatten(1).float().sigmoid()
        scores = torch.where(chances > self.config.score, scores, 0).t()
        places = points(output.shapes[level], self.strides[level], scores.device)
        distances = output.boxes[level][image].flatten(1).t()
        few = min(self.config.before, len(scores))
        best = scores.amax(1).topk(few).indices
        scores, places, distances = scores[best], places[best], distances[best]
        point, label = (scores > 0).nonzero(as_tuple=True)
        boxes = torch.cat((places - distances[:, :2], places + distances[:, 2:]), 1)
        return Detections(boxes[point], scores[point, label], label)

    def _suppress(self, levels: list[Detections], frame: tuple[int, int]) -> Detections:
        boxes, scores, labels = (torch.cat(part) for part in zip(*levels, strict=True))
        best = scores.topk(min(_CANDIDATES, len(scores))).indices
        boxes, scores, labels = boxes[best], scores[best], labels[best]
        height, width = frame
        boxes = torch.stack(
            (boxes[:, 0].clamp(0, width), boxes[:, 1].clamp(0, height), boxes[:, 2].clamp(0, width),
             boxes[:, 3].clamp(0, height)), 1,
        )  # fmt: skip
        best = nms(boxes, scores, labels, self.config.nms)[: self.config.most]
        return Detections(boxes[best], scores[best], labels[best])


def _points(levels: tuple[Tensor, ...]) -> Tensor:
    """[B, n, h, w] of each level to [B, P, n], in the order of the points."""
    return torch.cat([level.flatten(2) for level in levels], 2).transpose(1, 2)
