"""Training: the engine, its checkpoints, and learning in the subspace of a chip."""

from lightloom.learn.checkpoint import load_weights, save_weights
from lightloom.learn.config import TrainConfig
from lightloom.learn.engine import Task, Thin, fit
from lightloom.learn.sampling import Sampling, attach, sampling_preset, thin
from lightloom.learn.study import gradient_study, sweep
from lightloom.learn.subspace import train_only_subspace
from lightloom.learn.zeroth import ZerothConfig, fit_zeroth

__all__ = [
    "Sampling",
    "Task",
    "Thin",
    "TrainConfig",
    "ZerothConfig",
    "attach",
    "fit",
    "fit_zeroth",
    "gradient_study",
    "load_weights",
    "sampling_preset",
    "save_weights",
    "sweep",
    "thin",
    "train_only_subspace",
]
