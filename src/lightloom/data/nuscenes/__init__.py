"""nuScenes: its tables, the geometry between its frames, and its boxes as they look in the images."""

from lightloom.data.nuscenes.classes import CLASSES, class_of
from lightloom.data.nuscenes.export2d import export_2d
from lightloom.data.nuscenes.splits import scene_splits
from lightloom.data.nuscenes.tables import TABLES, Tables, read_tables

__all__ = ["CLASSES", "TABLES", "Tables", "class_of", "export_2d", "read_tables", "scene_splits"]
