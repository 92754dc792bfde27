"""Objects in images: boxes, a detector of one stage, COCO's figures, and detectors of `transformers`."""

from lightloom.tasks.detection2d.boxes import Detections, iou, nms
from lightloom.tasks.detection2d.detector import Detector, DetectorOutput
from lightloom.tasks.detection2d.evaluate import Precision, evaluate
from lightloom.tasks.detection2d.fcos import FCOSConfig
from lightloom.tasks.detection2d.objective import Detection2DObjective

__all__ = [
    "Detection2DObjective",
    "Detections",
    "Detector",
    "DetectorOutput",
    "FCOSConfig",
    "Precision",
    "evaluate",
    "iou",
    "nms",
]
