"""Image classification."""

from lightloom.tasks.classification.models import MODELS, Brightness, build, replace_head, settle
from lightloom.tasks.classification.objective import Classify, Criterion

__all__ = ["MODELS", "Brightness", "Classify", "Criterion", "build", "replace_head", "settle"]
