"""The nuScenes detection task: NDS, mAP and the five errors, by the rules of the official devkit."""

from lightloom.metrics.nuscenes.boxes import Racks, Results, Truth
from lightloom.metrics.nuscenes.evaluate import ERRORS, FIGURES, Figures, evaluate
from lightloom.metrics.nuscenes.moments import Reference, found_of, truth_of
from lightloom.metrics.nuscenes.rules import DISTANCES, MOST_BOXES, RANGES, likely_attributes
from lightloom.metrics.nuscenes.submission import read_results, write_results

__all__ = [
    "DISTANCES",
    "ERRORS",
    "FIGURES",
    "MOST_BOXES",
    "RANGES",
    "Figures",
    "Racks",
    "Reference",
    "Results",
    "Truth",
    "evaluate",
    "found_of",
    "likely_attributes",
    "read_results",
    "truth_of",
    "write_results",
]
