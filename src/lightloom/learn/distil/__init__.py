"""Distillation: a student learns beside its task what a frozen teacher knows; for any task, as it knows tensors alone.

>>> config = DistilConfig(features=1.0, logits=1.0)
>>> pupil = Pupil(student, teacher, images[:2], config)
>>> distil = Distil(task, config)
>>> fit(pupil, train, validation, distil, training, folder=folder, stage="distil", seed=0, prepare=distil.prepare)
>>> student = pupil.student
"""

from lightloom.learn.distil.adapters import Adapters, Pair, Stage, match, resize
from lightloom.learn.distil.config import DistilConfig
from lightloom.learn.distil.ground import focal_pairs, gaussian_heatmap, generative, masked_kl, masked_l2
from lightloom.learn.distil.pupil import Pupil, PupilOutput
from lightloom.learn.distil.response import Response, features_of, response_of
from lightloom.learn.distil.task import Distil

__all__ = [
    "Adapters",
    "Distil",
    "DistilConfig",
    "Pair",
    "Pupil",
    "PupilOutput",
    "Response",
    "Stage",
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
