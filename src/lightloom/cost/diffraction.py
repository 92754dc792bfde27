"""Energy and time of one diffractive layer, part by part, from the device constants of its chip."""

from __future__ import annotations

import math
from typing import NamedTuple

from lightloom.chips import DiffractiveChip
from lightloom.cost.macs import LightUse

_PLANCK = 6.62607015e-34  # J s
_LIGHT = 299_792_458.0  # m/s

ASSUMPTIONS = (
    "Each optical path shows its input on modulator pixels of its own and is read by camera pixels of its own, "
    "as many as the map has; light is not fanned out from one modulator to many paths.",
    "In every frame each camera pixel is lit for full scale, after all losses: what the chip says in `photons`, else "
    "the full well of the camera; modulators throw away what an image does not need.",
    "A frame takes as long as the slowest of modulator, camera and, where masks are rewritten, masks.",
    "Masks are rewritten for every path where paths take turns and have masks of their own; the memory that their "
    "phases come from is not counted.",
    "Energies of modulators and cameras hold their converters, and not their controllers.",
    "Time of flight, drift and recalibration, cooling and the room for the optics are outside every boundary here.",
)

HOMODYNE = "A detector of fields is read once per pixel; its reference beam is not counted."


class LightCost(NamedTuple):
    """What one layer takes for one image. Energies in J, times in s."""

    frames: int
    """One after the other."""
    light: float
    masks: float
    modulators: float
    cameras: float
    laser_overhead: float
    """What the laser turns into heat: wall plug less light."""
    mask_time: float
    """In which masks are rewritten."""
    time: float
    """Of all frames."""


def light_cost(use: LightUse, parallel_paths: int | None) -> LightCost:
    """Energy and time of one layer for one image.

    Args:
        use: The layer, and the maps that it takes.
        parallel_paths: Optical paths that exist side by side; None is all of them.
    """
    layer, devices = use.layer, use.layer.chip.devices
    abreast = layer.optical_paths if parallel_paths is None else min(parallel_paths, layer.optical_paths)
    frames = math.ceil(layer.optical_paths / abreast) * len(use.maps)
    mask_pixels = layer.chip.layers * layer.chip.mask**2
    rewritten = layer.turns.numel() > abreast * mask_pixels
    rate = min(devices.modulator_rate.value, devices.camera_rate.value)
    rate = min(rate, devices.mask_rate.value) if rewritten else rate
    time, readings = frames / rate, layer.optical_paths * use.pixels
    rewriting = layer.optical_paths * len(use.maps) * mask_pixels * devices.mask_energy.value if rewritten else 0.0
    light = readings * pixel_light(layer.chip)
    return LightCost(
        frames=frames,
        light=light,
        masks=rewriting + devices.mask_power.value * layer.chip.layers * abreast * time,
        modulators=readings * devices.modulator_energy.value,
        cameras=readings * devices.camera_energy.value,
        laser_overhead=light * (1 / devices.laser_efficiency.value - 1),
        mask_time=frames / devices.mask_rate.value if rewritten else 0.0,
        time=time,
    )


def pixel_light(chip: DiffractiveChip) -> float:
    """Light in J that leaves the laser to bring one camera pixel to full scale."""
    devices = chip.devices
    electrons = devices.full_well.value if chip.photons is None else chip.photons
    at_camera = electrons / devices.quantum_efficiency.value * _PLANCK * _LIGHT / chip.wavelength
    loss_db = devices.modulator_loss.value + devices.optics_loss.value
    return at_camera * 10 ** (loss_db / 10) / chip.transmission**chip.layers
