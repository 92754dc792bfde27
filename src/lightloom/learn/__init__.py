"""Training: the engine, its checkpoints, and learning in the subspace of a chip."""

from lightloom.learn.checkpoint import load_weights, save_weights
from lightloom.learn.config import TrainConfig
from lightloom.learn.engine import Task, fit
from lightloom.learn.subspace import train_only_subspace

__all__ = ["Task", "TrainConfig", "fit", "load_weights", "save_weights", "train_only_subspace"]
