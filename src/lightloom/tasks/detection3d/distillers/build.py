"""From a config to a distiller that fits a student and its teacher."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.data.multicamera import Views
from lightloom.tasks.detection3d.detector import Detector3D, Detector3DOutput
from lightloom.tasks.detection3d.distillers.config import DistillerConfig
from lightloom.tasks.detection3d.distillers.fd3d import FocalDistiller
from lightloom.tasks.detection3d.distillers.heatmap import HeatmapDistiller


def build_distiller(
    config: DistillerConfig,
    student: Detector3D,
    expert: Detector3D,
    sample: Views,
    for_teacher: Callable[[Views], Views] = lambda views: views,
) -> nn.Module | None:
    """The distiller for a `DistillationModel` of these two; None for the kind `none`.

    Its parameters are drawn from torch's generator, and lie where the student's do.

    Args:
        config: Which distiller.
        student: As it will be trained.
        expert: As it will teach.
        sample: Inputs of a batch, however small: both run on it once, in eval mode, to see their shapes.
        for_teacher: As of `DistillationModel`.

    Raises:
        RequestError: The distiller needs BEV maps of one area, detectors of one kind or of the same classes, and these
            are not such; both are named.
    """
    if config.kind == "none":
        return None
    _check(config, student, expert)
    teacher_output, student_output = _shapes(expert, for_teacher(sample)), _shapes(student, sample)
    distiller: nn.Module
    if config.kind == "heatmap":
        assert teacher_output.bev is not None and student_output.bev is not None
        distiller = HeatmapDistiller(teacher_output.bev, student_output.bev, expert.config.area, config.heatmap)
    else:
        distiller = FocalDistiller(expert, teacher_output, student_output, config.fd3d, for_teacher)
    return distiller.to(student.mean.device)


def _check(config: DistillerConfig, student: Detector3D, expert: Detector3D) -> None:
    kinds = student.config.kind, expert.config.kind
    if config.kind == "heatmap" and "detr3d" in kinds:
        raise RequestError(
            f"Distiller `heatmap` compares BEV maps; the student is `{kinds[0]}`, the teacher `{kinds[1]}`; "
            "`detr3d` has none. Take distiller `fd3d`, or `bevformer` for both."
        )
    if kinds[0] != kinds[1]:
        raise RequestError(
            f"Distiller `fd3d` needs detectors of one kind; the student is `{kinds[0]}`, the teacher `{kinds[1]}`."
        )
    if kinds[0] == "bevformer" and student.config.area != expert.config.area:
        raise RequestError(
            f"The BEV map of the student covers {student.config.area}, the teacher's {expert.config.area}; "
            "give both the same `area`."
        )
    if config.kind == "fd3d" and student.classes != expert.classes:
        raise RequestError(
            f"The student tells {student.classes} classes apart, the teacher {expert.classes}; "
            "distiller `fd3d` needs the same of both."
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
