"""nuScenes: its tables read and written, the geometry between its frames, and its boxes in space and in the images."""

from lightloom.data.nuscenes.boxes import Boxes3D, FrameBoxes
from lightloom.data.nuscenes.classes import ATTRIBUTES, CATEGORIES, CLASSES, class_of
from lightloom.data.nuscenes.convert import convert_own
from lightloom.data.nuscenes.export2d import export_2d
from lightloom.data.nuscenes.samples import CameraView, Sample, read_samples
from lightloom.data.nuscenes.specs import BoxSpec, CameraSpec, CaptureSpec, FrameSpec, SceneSpec
from lightloom.data.nuscenes.splits import scene_splits
from lightloom.data.nuscenes.tables import TABLES, Tables, read_tables
from lightloom.data.nuscenes.write import write_tables

__all__ = [
    "ATTRIBUTES",
    "CATEGORIES",
    "CLASSES",
    "TABLES",
    "BoxSpec",
    "Boxes3D",
    "CameraSpec",
    "CameraView",
    "CaptureSpec",
    "FrameBoxes",
    "FrameSpec",
    "Sample",
    "SceneSpec",
    "Tables",
    "class_of",
    "convert_own",
    "export_2d",
    "read_samples",
    "read_tables",
    "scene_splits",
    "write_tables",
]
