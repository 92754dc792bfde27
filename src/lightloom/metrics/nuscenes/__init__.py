"""The nuScenes detection task: NDS, mAP and the five errors, by the rules of the official devkit."""

from lightloom.metrics.nuscenes.boxes import Racks, Results, Truth
from lightloom.metrics.nuscenes.evaluate import ERRORS, METRICS, NuScenesMetrics, evaluate
from lightloom.metrics.nuscenes.from_samples import Reference, global_results, ground_truth
from lightloom.metrics.nuscenes.rules import DISTANCES, MOST_BOXES, RANGES, likely_attributes
from lightloom.metrics.nuscenes.submission import read_results, write_results

__all__ = [
    "DISTANCES",
    "ERRORS",
    "METRICS",
    "MOST_BOXES",
    "RANGES",
    "NuScenesMetrics",
    "Racks",
    "Reference",
    "Results",
    "Truth",
    "evaluate",
    "global_results",
    "ground_truth",
    "likely_attributes",
    "read_results",
    "write_results",
]
