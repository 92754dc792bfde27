"""Boxes around a vehicle from its cameras: BEVFormer and DETR3D in pure PyTorch."""

from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.sizes import SIZES, Detector3DConfig, Size, detector_size
from lightloom.tasks.detection3d.cross_attention import CameraSampling, GroundSampling
from lightloom.tasks.detection3d.decode import Boxes, decode
from lightloom.tasks.detection3d.decoder import Decoded, Decoder, Recorder
from lightloom.tasks.detection3d.deformable import Aimed, DeformableAttention
from lightloom.tasks.detection3d.detector import Detector3D, Detector3DOutput
from lightloom.tasks.detection3d.encoder import Encoder
from lightloom.tasks.detection3d.geometry import decode_boxes, encode_boxes, project_points, seen
from lightloom.tasks.detection3d.guides import GuideConfig, HeatmapConfig, build_guide
from lightloom.tasks.detection3d.losses import detection_loss
from lightloom.tasks.detection3d.matching import Matched, match
from lightloom.tasks.detection3d.queries import Source
from lightloom.tasks.detection3d.sheet import Sheet, lay_out, sample
from lightloom.tasks.detection3d.objective import Detect3D, evaluate_moments, results_of

__all__ = [
    "SIZES",
    "Aimed",
    "Boxes",
    "CameraMaps",
    "CameraSampling",
    "Decoded",
    "Decoder",
    "DeformableAttention",
    "Detect3D",
    "Detector3D",
    "Detector3DConfig",
    "Detector3DOutput",
    "Encoder",
    "GroundSampling",
    "GuideConfig",
    "HeatmapConfig",
    "Matched",
    "Recorder",
    "Sheet",
    "Size",
    "Source",
    "build_guide",
    "decode",
    "decode_boxes",
    "detection_loss",
    "detector_size",
    "encode_boxes",
    "evaluate_moments",
    "lay_out",
    "match",
    "project_points",
    "results_of",
    "sample",
    "seen",
]
