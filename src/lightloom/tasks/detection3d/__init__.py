"""Boxes around a vehicle from its cameras: BEVFormer and DETR3D in pure PyTorch."""

from lightloom.tasks.detection3d.cameras import CameraMaps
from lightloom.tasks.detection3d.cross_attention import BEVCrossAttention, CameraCrossAttention
from lightloom.tasks.detection3d.decode import Boxes, decode
from lightloom.tasks.detection3d.decoder import Decoded, Decoder, Recorder
from lightloom.tasks.detection3d.deformable import DeformableAttention, SamplingLocations
from lightloom.tasks.detection3d.detector import Detector3D, Detector3DOutput
from lightloom.tasks.detection3d.distillers import DistillerConfig, HeatmapConfig, build_distiller
from lightloom.tasks.detection3d.encoder import Encoder
from lightloom.tasks.detection3d.feature_atlas import FeatureAtlas, pack, sample
from lightloom.tasks.detection3d.geometry import decode_boxes, encode_boxes, project_points, visible_points
from lightloom.tasks.detection3d.losses import detection_loss
from lightloom.tasks.detection3d.matching import Matches, match
from lightloom.tasks.detection3d.objective import Detection3DObjective, evaluate_samples, results_of
from lightloom.tasks.detection3d.queries import Source
from lightloom.tasks.detection3d.sizes import SIZES, Detector3DConfig, Size, detector_size

__all__ = [
    "SIZES",
    "BEVCrossAttention",
    "Boxes",
    "CameraCrossAttention",
    "CameraMaps",
    "Decoded",
    "Decoder",
    "DeformableAttention",
    "Detection3DObjective",
    "Detector3D",
    "Detector3DConfig",
    "Detector3DOutput",
    "DistillerConfig",
    "Encoder",
    "FeatureAtlas",
    "HeatmapConfig",
    "Matches",
    "Recorder",
    "SamplingLocations",
    "Size",
    "Source",
    "build_distiller",
    "decode",
    "decode_boxes",
    "detection_loss",
    "detector_size",
    "encode_boxes",
    "evaluate_samples",
    "match",
    "pack",
    "project_points",
    "results_of",
    "sample",
    "visible_points",
]
