"""Several calibrated cameras around a vehicle: what they see, and the boxes around it."""

from lightloom.data.multicamera.augment import ViewAugmentConfig, mirror, turn, view_augmentation
from lightloom.data.multicamera.letterbox import TARGET, BEVRange, MultiCameraSet, Windows, letterbox_samples
from lightloom.data.multicamera.sets import MULTICAMERA_SETS, MultiCameraSplits, find_samples, load_multicamera
from lightloom.data.multicamera.views import Views

__all__ = [
    "MULTICAMERA_SETS",
    "TARGET",
    "BEVRange",
    "MultiCameraSet",
    "MultiCameraSplits",
    "ViewAugmentConfig",
    "Views",
    "Windows",
    "find_samples",
    "letterbox_samples",
    "load_multicamera",
    "mirror",
    "turn",
    "view_augmentation",
]
