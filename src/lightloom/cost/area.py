"""What room the chips, and what stands around them, take."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from lightloom.chips import Chip
from lightloom.cost.energy import core_price
from lightloom.cost.system import System
from lightloom.cost.technology import cost_of

ASSUMPTIONS = (
    "Area is the sum of devices, without waveguides, pads and spacing. Every core has its own modulators, detectors, "
    "amplifiers and converters, and a mesh one DAC for its phases; drivers of cells and electronics are not counted. "
    "There are as many lasers as the most cores that have light at the same time, one per wavelength.",
)


def areas(cores: Mapping[Chip, int], lit: Mapping[Chip, int], system: System) -> dict[str, float]:
    """Area in m^2 by kind of device.

    Args:
        cores: How many cores of each chip there are.
        lit: How many of them have light at the same time.
        system: Schedule, sharing of converters, buffer.
    """
    parts: dict[str, float] = defaultdict(float)
    for chip, count in cores.items():
        devices, price, model = chip.devices, core_price(chip), cost_of(chip)
        readings = price.readings * count
        for part, area in model.core_areas(count).items():
            parts[part] += area
        setters = count * model.setting_converters
        parts["modulators"] += count * price.modulators * devices.modulator_area.value
        parts["DACs"] += (count * price.modulators + setters) * devices.dac_area.value
        parts["detectors and amplifiers"] += (
            count * price.receivers * (devices.detector_area.value + devices.amplifier_area.value)
        )
        parts["ADCs"] += -(-readings // system.adc_share) * devices.adc_area.value
        if system.schedule == "output":
            parts["integrators"] += readings * devices.integrator_area.value
        lasers = lit.get(chip, 0) * model.channels
        parts["lasers"] += lasers * devices.laser_area.value
    parts["buffer"] = system.memory.buffer_size * system.memory.buffer_area.value
    return dict(parts)
