"""Diffraction: light from plane to plane through free space, thin masks and detectors, scalar and coherent.

Fields are complex [..., rows, columns]; lengths are in m, phases of masks in turns (1 is 2 pi).
"""

from lightloom.physics.diffraction.detect import Detector, detect, shot_noise
from lightloom.physics.diffraction.grid import Grid, Length, check, frequencies
from lightloom.physics.diffraction.guard import Check, SamplingWarning
from lightloom.physics.diffraction.lens import LensForm, lens, through_lens
from lightloom.physics.diffraction.limits import (
    band_limit,
    critical_distance,
    paraxial_critical_distance,
    paraxial_phase_error,
    shortest_focal_length,
)
from lightloom.physics.diffraction.masks import amplitude_mask, phase_mask, phase_noise, quantise
from lightloom.physics.diffraction.propagate import crop, pad, propagate, shift
from lightloom.physics.diffraction.reference import rayleigh_sommerfeld
from lightloom.physics.diffraction.sampling import Sampling, sampling
from lightloom.physics.diffraction.transfer import Evanescent, Method, displacement, misalign, transfer

__all__ = [
    "Check",
    "Detector",
    "Evanescent",
    "Grid",
    "Length",
    "LensForm",
    "Method",
    "Sampling",
    "SamplingWarning",
    "amplitude_mask",
    "band_limit",
    "check",
    "critical_distance",
    "crop",
    "detect",
    "displacement",
    "frequencies",
    "lens",
    "misalign",
    "pad",
    "paraxial_critical_distance",
    "paraxial_phase_error",
    "phase_mask",
    "phase_noise",
    "propagate",
    "quantise",
    "rayleigh_sommerfeld",
    "sampling",
    "shift",
    "shortest_focal_length",
    "shot_noise",
    "through_lens",
    "transfer",
]
