"""Image classification."""

from lightloom.tasks.classify.models import MODELS, Brightness, build, replace_head, settle
from lightloom.tasks.classify.task import Classify, Criterion

__all__ = ["MODELS", "Brightness", "Classify", "Criterion", "build", "replace_head", "settle"]
