"""Diffraction: light from plane to plane through free space, thin masks and detectors, scalar and coherent.

Fields are complex [..., rows, columns]; lengths are in m, phases of masks in turns (1 is 2 pi).
"""

from lightloom.physics.diffraction.detect import Detector, detect, shot_noise
from lightloom.physics.diffraction.grid import Grid, check, frequencies
from lightloom.physics.diffraction.masks import amplitude_mask, phase_mask, phase_noise, quantise
from lightloom.physics.diffraction.propagate import crop, pad, propagate, shift
from lightloom.physics.diffraction.reference import rayleigh_sommerfeld
from lightloom.physics.diffraction.transfer import (
    Evanescent,
    Method,
    band_limit,
    critical_distance,
    displacement,
    misalign,
    transfer,
)

__all__ = [
    "Detector",
    "Evanescent",
    "Grid",
    "Method",
    "amplitude_mask",
    "band_limit",
    "check",
    "critical_distance",
    "crop",
    "detect",
    "displacement",
    "frequencies",
    "misalign",
    "pad",
    "phase_mask",
    "phase_noise",
    "propagate",
    "quantise",
    "rayleigh_sommerfeld",
    "shift",
    "shot_noise",
    "transfer",
]
