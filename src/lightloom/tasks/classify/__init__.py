"""Image classification."""

from lightloom.tasks.classify.models import MODELS, build, replace_head
from lightloom.tasks.classify.task import Classify

__all__ = ["MODELS", "Classify", "build", "replace_head"]
