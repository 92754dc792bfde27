"""Image classification."""

from lightloom.tasks.classification.models import MODELS, InputScale, build, replace_head, scale_to_half_transmission
from lightloom.tasks.classification.objective import Classify, Criterion

__all__ = ["MODELS", "Classify", "Criterion", "InputScale", "build", "replace_head", "scale_to_half_transmission"]
