"""Images with boxes: readers, a synthetic set, letterboxing, and augmentation that keeps boxes on their pixels."""

from lightloom.data.detection.augment import Augment, AugmentConfig, augmentation, colour, compose, flip, mosaic, zoom
from lightloom.data.detection.coco import read_coco
from lightloom.data.detection.letterbox import GRAY, LazyImages, LetterboxedSet, letterbox, letterbox_image, read_pixels
from lightloom.data.detection.records import DetectionSet, DetectionSplits, OnInvalid, Problem, Record
from lightloom.data.detection.sets import DETECTION_SETS, ReadOptions, ShapesOptions, load_detection
from lightloom.data.detection.shapes import SHAPES, shapes
from lightloom.data.detection.voc import read_voc
from lightloom.data.detection.write import write_coco, write_voc, write_yolo
from lightloom.data.detection.yolo import read_yolo

__all__ = [
    "DETECTION_SETS",
    "GRAY",
    "SHAPES",
    "Augment",
    "AugmentConfig",
    "DetectionSet",
    "DetectionSplits",
    "LazyImages",
    "LetterboxedSet",
    "OnInvalid",
    "Problem",
    "ReadOptions",
    "Record",
    "ShapesOptions",
    "augmentation",
    "colour",
    "compose",
    "flip",
    "letterbox",
    "letterbox_image",
    "load_detection",
    "mosaic",
    "read_coco",
    "read_pixels",
    "read_voc",
    "read_yolo",
    "shapes",
    "write_coco",
    "write_voc",
    "write_yolo",
    "zoom",
]
