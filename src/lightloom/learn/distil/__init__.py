"""Distillation: a student learns its own problem and, beside it, to answer as a frozen teacher does.

Tensors alone are compared, so that one form serves every problem.

>>> config = DistillationConfig(features=1.0, logits=1.0)
>>> model = DistillationModel(student, teacher, images[:2], config)
>>> distillation = DistillationObjective(objective, config)
>>> fit(model, train, validation, distillation, training, folder=folder, stage="distil", seed=0,
...     prepare=distillation.prepare)
>>> student = model.student
"""

from lightloom.learn.distil.adapters import Adapters, Pair, Stage, match, resize
from lightloom.learn.distil.bev_losses import focal_pairs, gaussian_heatmap, generative, masked_kl, masked_l2
from lightloom.learn.distil.config import DistillationConfig
from lightloom.learn.distil.model import DistillationModel, DistillationOutput, StageLayers
from lightloom.learn.distil.objective import DistillationObjective
from lightloom.learn.distil.response import Response, features_of, response_of

__all__ = [
    "Adapters",
    "DistillationConfig",
    "DistillationModel",
    "DistillationObjective",
    "DistillationOutput",
    "Pair",
    "Response",
    "Stage",
    "StageLayers",
    "features_of",
    "focal_pairs",
    "gaussian_heatmap",
    "generative",
    "masked_kl",
    "masked_l2",
    "match",
    "resize",
    "response_of",
]
