"""Training: the engine, its checkpoints, and learning in the subspace of a chip or from a teacher."""

from lightloom.learn.checkpoint import load_weights, read_tensors, save_weights, write_tensors
from lightloom.learn.config import TrainConfig
from lightloom.learn.distil import DistillationConfig, DistillationModel, DistillationObjective
from lightloom.learn.engine import Task, Thin, file_name, fit
from lightloom.learn.mismatch import gradient_angles
from lightloom.learn.orders import load_orders, save_orders
from lightloom.learn.sampling import Sampling, attach, sampling_preset, thin
from lightloom.learn.study import gradient_study, sweep
from lightloom.learn.subspace import train_only_subspace
from lightloom.learn.write_aware import WriteAware, WriteAwareTask, for_sharing
from lightloom.learn.zeroth import ZerothConfig, fit_zeroth

__all__ = [
    "DistillationConfig",
    "DistillationModel",
    "DistillationObjective",
    "Sampling",
    "Task",
    "Thin",
    "TrainConfig",
    "WriteAware",
    "WriteAwareTask",
    "ZerothConfig",
    "attach",
    "file_name",
    "fit",
    "fit_zeroth",
    "for_sharing",
    "gradient_angles",
    "gradient_study",
    "load_orders",
    "load_weights",
    "read_tensors",
    "sampling_preset",
    "save_orders",
    "save_weights",
    "sweep",
    "thin",
    "train_only_subspace",
    "write_tensors",
]
