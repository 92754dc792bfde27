"""From a config to a guide that fits a student and its teacher."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.data.multicamera import Views
from lightloom.tasks.detection3d.detector import Detector3D, Detector3DOutput
from lightloom.tasks.detection3d.guides.config import GuideConfig
from lightloom.tasks.detection3d.guides.fd3d import FocalGuide
from lightloom.tasks.detection3d.guides.heatmap import HeatmapGuide


def build_guide(
    config: GuideConfig,
    student: Detector3D,
    expert: Detector3D,
    sample: Views,
    for_teacher: Callable[[Views], Views] = lambda views: views,
) -> nn.Module | None:
    """The guide for a `DistillationModel` of these two; None where none is wanted.

    Its parameters are drawn from torch's generator, and lie where the student's do.

    Args:
        config: Which guide.
        student: As it will be trained.
        expert: As it will teach.
        sample: Inputs of a batch, however small: both run on it once, in eval mode, to see their shapes.
        for_teacher: As of `DistillationModel`.

    Raises:
        RequestError: The guide needs ground maps of one area, detectors of one kind or of the same classes, and these
            are not such; both are named.
    """
    if config.kind == "none":
        return None
    _check(config, student, expert)
    known, learned = _shapes(expert, for_teacher(sample)), _shapes(student, sample)
    guide: nn.Module
    if config.kind == "heatmap":
        assert known.ground is not None and learned.ground is not None
        guide = HeatmapGuide(known.ground, learned.ground, expert.config.area, config.heatmap)
    else:
        guide = FocalGuide(expert, known, learned, config.fd3d, for_teacher)
    return guide.to(student.mean.device)


def _check(config: GuideConfig, student: Detector3D, expert: Detector3D) -> None:
    kinds = student.config.kind, expert.config.kind
    if config.kind == "heatmap" and "detr3d" in kinds:
        raise RequestError(
            f"Guide `heatmap` compares maps of the ground, and the student is `{kinds[0]}`, the teacher `{kinds[1]}`; "
            "`detr3d` has none. Take guide `fd3d`, or `bevformer` for both."
        )
    if kinds[0] != kinds[1]:
        raise RequestError(
            f"Guide `fd3d` needs detectors of one kind; the student is `{kinds[0]}`, the teacher `{kinds[1]}`."
        )
    if kinds[0] == "bevformer" and student.config.area != expert.config.area:
        raise RequestError(
            f"The ground map of the student covers {student.config.area}, the teacher's {expert.config.area}; "
            "give both the same `area`."
        )
    if config.kind == "fd3d" and student.classes != expert.classes:
        raise RequestError(
            f"The student tells {student.classes} classes apart, the teacher {expert.classes}; guide `fd3d` needs the "
            "same of both."
        )


@torch.no_grad()
def _shapes(model: Detector3D, views: Views) -> Detector3DOutput:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        outputs: Detector3DOutput = model(views)
    finally:
        for module, mode in modes:
            module.training = mode
    return outputs
