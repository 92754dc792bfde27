"""Training: the engine, its checkpoints, and learning in the subspace of a chip or from a teacher."""

from lightloom.learn.checkpoint import load_weights, read_tensors, save_weights, write_tensors
from lightloom.learn.config import TrainConfig
from lightloom.learn.distil import DistillationConfig, DistillationModel, DistillationObjective
from lightloom.learn.engine import Augment, BatchSampler, Prepare, TrainingData, fit
from lightloom.learn.gradient_alignment import gradient_angles, gradient_study, sparsity_sweep
from lightloom.learn.mesh.zeroth_order import ZerothConfig, fit_zeroth
from lightloom.learn.objective import Objective
from lightloom.learn.pcm.write_aware import WriteAware, WriteAwareObjective, for_sharing
from lightloom.learn.pcm.write_schedules import load_orders, save_orders
from lightloom.learn.recorder import Session, file_name
from lightloom.learn.sampling import Sampling, attach, sample_batches, sampling_preset
from lightloom.learn.subspace import train_only_subspace

__all__ = [
    "Augment",
    "BatchSampler",
    "DistillationConfig",
    "DistillationModel",
    "DistillationObjective",
    "Objective",
    "Prepare",
    "Sampling",
    "Session",
    "TrainConfig",
    "TrainingData",
    "WriteAware",
    "WriteAwareObjective",
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
    "sample_batches",
    "sampling_preset",
    "save_orders",
    "save_weights",
    "sparsity_sweep",
    "train_only_subspace",
    "write_tensors",
]
