"""Guides: what leads a 3-D detector that learns from a teacher to where objects are.

>>> guide = build_guide(GuideConfig(kind="fd3d"), student, expert, views)
>>> model = DistillationModel(student, expert, views, DistillationConfig(features=0.0), distiller=guide)
"""

from lightloom.tasks.detection3d.guides.build import build_guide
from lightloom.tasks.detection3d.guides.config import FocalConfig, GuideConfig, HeatmapConfig
from lightloom.tasks.detection3d.guides.fd3d import FocalGuide
from lightloom.tasks.detection3d.guides.heatmap import HeatmapGuide

__all__ = ["FocalConfig", "FocalGuide", "GuideConfig", "HeatmapConfig", "HeatmapGuide", "build_guide"]
