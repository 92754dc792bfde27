"""FD3D: focal distillation, where the detections of a copy of the teacher's decoder say where the student learns."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor, nn

from lightloom.data.multicamera import Views
from lightloom.learn.distil import Adapters, Stage, focal_pairs, resize
from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.decoder import Decoded
from lightloom.tasks.detection3d.detector import Detector3D, Detector3DOutput
from lightloom.tasks.detection3d.distillers.bev_adapters import MaskedGenerator, UpsamplingAdapter
from lightloom.tasks.detection3d.distillers.config import FocalConfig
from lightloom.tasks.detection3d.distillers.masks import (
    Objects,
    bev_mask,
    detected_objects,
    extents,
    joined,
    view_mask,
)
from lightloom.tasks.detection3d.distillers.recording import SamplingRecorder, sampled_values
from lightloom.tasks.detection3d.losses import decoded_loss
from lightloom.tasks.detection3d.queries import Source


class FocalDistiller(nn.Module):
    """Four terms, each with a weight that may be 0.

    `head`: a trainable copy of the teacher's decoder, with its queries, finds boxes on the teacher's maps and pays its
    own detection loss. `pv` and `bev`: cells on these boxes (and the true ones) are dropped at random from the
    student's maps, brought to the teacher's width and positions, and a generator must make the teacher's of the rest.
    `focal`: what the queries of each layer sample from the teacher's map, and at the same locations from the student's,
    is compared by direction, and counts as much as the query is sure of its object.

    DETR3D has no BEV map: there is no `bev`, and queries sample the camera maps.

    Source: Zeng et al., "Distilling Focal Knowledge from Imperfect Expert for 3D Object Detection", CVPR 2023. The
    loss of the method was never released: how terms are scaled and weighted here is this library's.

    Args:
        expert: The teacher itself. Its decoder is copied; nothing of the teacher is trained.
        teacher: Outputs of the teacher for some batch; shapes alone matter.
        student: Outputs of the student for the same batch, of a detector of the same kind.
        config: Weights and numbers.
        for_teacher: Makes the teacher's views of the student's, where they differ.
    """

    def __init__(
        self,
        expert: Detector3D,
        teacher: Detector3DOutput,
        student: Detector3DOutput,
        config: FocalConfig,
        for_teacher: Callable[[Views], Views] = lambda views: views,
    ) -> None:
        super().__init__()
        self.config, self.settings = config, expert.config
        self.calibrate, self.for_teacher = expert.cameras, for_teacher
        bev = teacher.bev
        self.bev = config.bev if bev is not None else 0.0
        guided = config.queries and (config.pv or self.bev)
        self.head = (
            copy.deepcopy(expert.decoder).requires_grad_(config.head > 0)
            if config.head or config.focal or guided
            else None
        )
        views_taken = config.pv or (config.focal and bev is None)
        self.adapters = Adapters(_no_finer(teacher, student), student.features) if views_taken else None
        self.restore: UpsamplingAdapter | None = None
        if bev is not None and student.bev is not None and (self.bev or config.focal):
            self.restore = UpsamplingAdapter(student.bev, bev)
        self.on_ground = self._generator(bev) if bev is not None and self.bev else None
        pairs = self.adapters.pairs if self.adapters is not None and config.pv else ()
        self.in_views = nn.ModuleList(self._generator(teacher.features[pair.teacher]) for pair in pairs)
        self.train()

    def _generator(self, teacher: Tensor) -> MaskedGenerator:
        config = self.config
        return MaskedGenerator(teacher.shape[1], config.hidden, config.drop, config.background)

    def train(self, mode: bool = True) -> Self:
        """Set the mode as of any module, but a head that does not learn stays in eval mode."""
        super().train(mode)
        if self.head is not None and not self.config.head:
            self.head.eval()
        return self

    def forward(
        self, teacher: Detector3DOutput, student: Detector3DOutput, views: Views, targets: Tensor
    ) -> dict[str, Tensor]:
        """The terms that have a weight, weighted, by name.

        Args:
            teacher: Outputs of the teacher, without gradients.
            student: Outputs of the student.
            views: As the student is given them.
            targets: (x, y, z, w, l, h, yaw, vx, vy, label) [B, most, 10], label -1 where there is no object.
        """
        config, recorded = self.config, SamplingRecorder()
        source = self._source(teacher, views)
        decoded = None if self.head is None else self._decode(self.head, source, recorded)
        stages = () if self.adapters is None else self.adapters(_no_finer(teacher, student), student.features)
        restored: Any = None if self.restore is None else self.restore(student.bev)
        objects = self.objects(decoded, targets)
        losses: dict[str, Tensor] = {}
        if decoded is not None and config.head:
            parts = decoded_loss(decoded, targets, self.settings)
            losses["head"] = config.head * torch.stack(list(parts.values())).sum()
        if config.pv:
            losses["pv"] = config.pv * self._pv(stages, objects, views)
        if self.on_ground is not None and teacher.bev is not None:
            shape = (teacher.bev.shape[2], teacher.bev.shape[3])
            mask = bev_mask(objects, self.settings.area, shape)
            losses["bev"] = self.bev * self.on_ground(teacher.bev, restored, mask)
        if decoded is not None and config.focal:
            of_student = restored if isinstance(source, Tensor) else _with_stages(source, stages)
            losses["focal"] = config.focal * self._focal(recorded, source, of_student, decoded)
        return losses

    def objects(self, decoded: Decoded | None, targets: Tensor) -> Objects:
        """What the masks are made of: boxes of the head's last layer, true boxes, or both.

        Args:
            decoded: Output of the distillation head; None where there is none.
            targets: Padded boxes [B, most, 10], label -1 where there is none.
        """
        config, parts = self.config, []
        if decoded is not None and config.queries:
            parts.append(detected_objects(decoded.class_logits[-1], decoded.codes[-1], config.top, config.score))
        if config.truth:
            parts.append(Objects(targets[..., :9], targets[..., 9] >= 0))
        return joined(parts)

    def _source(self, teacher: Detector3DOutput, views: Views) -> Source:
        """The maps that the head attends to."""
        if teacher.bev is not None:
            return teacher.bev
        return self.calibrate(teacher.features, self.for_teacher(views))

    def _decode(self, head: nn.Module, source: Source, recorded: SamplingRecorder) -> Decoded:
        with torch.set_grad_enabled(self.config.head > 0 and torch.is_grad_enabled()):
            decoded: Decoded = head(source, recorded)
        return decoded

    def _pv(self, stages: tuple[Stage, ...], objects: Objects, views: Views) -> Tensor:
        """Mean over the levels of the pyramid."""
        frame = (views.images.shape[-2], views.images.shape[-1])
        extent = views.extent[:, -1]
        rectangles = extents(objects, views.project[:, -1], extent)
        images = torch.cat((torch.zeros_like(extent), extent), -1)[:, :, None]
        terms = []
        for stage, regenerate in zip(stages, self.in_views, strict=True):
            shape = (stage.teacher.shape[2], stage.teacher.shape[3])
            mask, there = view_mask(rectangles, shape, frame), view_mask(images, shape, frame)
            terms.append(regenerate(stage.teacher, stage.adapted, mask, there))
        return torch.stack(terms).mean()

    def _focal(self, recorded: SamplingRecorder, source: Source, student: Source, decoded: Decoded) -> Tensor:
        with torch.no_grad():
            teacher = sampled_values(recorded, source)  # [L, B * Q, C]
            weight = decoded.class_logits.float().sigmoid().amax(-1).flatten(1)
        return focal_pairs(teacher, sampled_values(recorded, student), weight)


def _no_finer(teacher: Detector3DOutput, student: Detector3DOutput) -> tuple[Tensor, ...]:
    """The teacher's camera maps, averaged to the positions of the student's where they have more.

    What a student of coarser maps cannot hold it is not asked for, and the generators have less to do.
    """
    if len(teacher.features) != len(student.features):
        return teacher.features
    sizes = [(int(level.shape[2]), int(level.shape[3])) for level in student.features]
    pairs = zip(teacher.features, sizes, strict=True)
    return tuple(resize(level, size) if level.shape[2] > size[0] else level for level, size in pairs)


def _with_stages(cameras: CameraMaps, stages: tuple[Stage, ...]) -> CameraMaps:
    """The teacher's cameras with the student's maps, at the teacher's positions."""
    maps = list(cameras.maps)
    for stage in stages:
        teacher = maps[stage.pair.teacher]
        assert stage.adapted is not None
        maps[stage.pair.teacher] = resize(stage.adapted, (int(teacher.shape[2]), int(teacher.shape[3])))
    return cameras.replaced(tuple(maps))
