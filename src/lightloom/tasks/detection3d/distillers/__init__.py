"""Distillers: losses that lead a 3-D detector that learns from a teacher to where objects are.

>>> distiller = build_distiller(DistillerConfig(kind="fd3d"), student, expert, views)
>>> model = DistillationModel(student, expert, views, DistillationConfig(features=0.0), distiller=distiller)
"""

from lightloom.tasks.detection3d.distillers.build import build_distiller
from lightloom.tasks.detection3d.distillers.config import DistillerConfig, FocalConfig, HeatmapConfig
from lightloom.tasks.detection3d.distillers.fd3d import FocalDistiller
from lightloom.tasks.detection3d.distillers.heatmap import HeatmapDistiller

__all__ = ["DistillerConfig", "FocalConfig", "FocalDistiller", "HeatmapConfig", "HeatmapDistiller", "build_distiller"]
