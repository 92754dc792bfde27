"""Energy of one optical layer, part by part, from the device constants of its chip.

Pure arithmetic on counts; the assumptions are listed in `ASSUMPTIONS` and printed with every result.
"""

from __future__ import annotations

from typing import NamedTuple

from lightloom.chips import Chip
from lightloom.cost.link import laser_light
from lightloom.cost.technology import DEFAULT_BITS, cost_of
from lightloom.nn import Counts

ASSUMPTIONS = (
    "Layers follow one another; light has left a layer before the next one begins.",
    "Each detector is given its sensitivity per wavelength, after all losses on the longest path; shot-noise limits of "
    "more bits are not added, and neither is the excess loss of trees that split a laser to the inputs of a mesh.",
    "Converters without a stated resolution in the chip are counted as 8 bit; DAC energy grows as 2^b / (b + 1), ADC "
    "energy as b.",
    "Each layer takes one symbol more to modulate and one more to detect; time of flight (tens of ps) is left out.",
    "Control electronics, cooling, drift and recalibration are outside every boundary here.",
)


class LayerEnergy(NamedTuple):
    """Energy of one layer for one inference, in J."""

    shifters: float
    """Energy that holds the phases of meshes."""
    laser_light: float
    """Energy of the lasers' light."""
    modulators: float
    """Energy of modulators and their DACs."""
    detectors: float
    """Energy of detectors, amplifiers and ADCs."""
    laser_overhead: float
    """Energy that the lasers turn into heat: wall plug less light."""


class CorePrice(NamedTuple):
    """What one tensor core takes. Energies in J, powers in W, times in s."""

    channels: int
    """Number of vectors that pass at once."""
    light: float
    """Optical power out of its lasers."""
    receivers: int
    """Number of photodetectors with their amplifiers."""
    readings: int
    """Number of values that it gives per symbol, after the difference of two signs."""
    modulators: int
    """Number of input modulators."""
    receiver_power: float
    """Power of one photodetector and amplifier."""
    modulate: float
    """Energy of sending one value: modulator and DAC."""
    read: float
    """Energy of reading one value: ADC."""
    symbol: float
    """Time of one symbol."""
    laser_efficiency: float
    """Light out of the lasers over electricity into them."""


def core_price(chip: Chip) -> CorePrice:
    """What one tensor core of a chip takes."""
    devices, model = chip.devices, cost_of(chip)
    bits_in, bits_out = chip.input_bits or DEFAULT_BITS, chip.output_bits or DEFAULT_BITS
    return CorePrice(
        channels=model.channels,
        light=laser_light(chip),
        receivers=model.receivers,
        readings=model.readings,
        modulators=model.modulators,
        receiver_power=devices.detector_power.value + devices.amplifier_power.value,
        modulate=devices.modulator_energy.value * bits_in + devices.dac_energy.value * dac_scale(bits_in),
        read=devices.adc_energy.value * bits_out / DEFAULT_BITS,
        symbol=1 / devices.symbol_rate.value,
        laser_efficiency=devices.laser_efficiency.value,
    )


def converter_time(chip: Chip) -> float:
    """Seconds added to a layer by filling its converters."""
    return 2 / chip.devices.symbol_rate.value


def layer_energy(counts: Counts, chip: Chip, holding_power: float, inference_time: float) -> LayerEnergy:
    """Energy of one layer for one inference, every block on a core of its own.

    Args:
        counts: Of the layer, for one inference.
        chip: Its hardware.
        holding_power: Of its phase shifters, in W, see `cost.mesh.phases.holding_power`.
        inference_time: Of the whole network in s: heaters stay on throughout.
    """
    price = core_price(chip)
    core_time = counts.calls * price.symbol
    light = price.light * core_time
    return LayerEnergy(
        shifters=holding_power * inference_time,
        laser_light=light,
        modulators=counts.conversions_in * price.modulate,
        detectors=price.receivers * price.receiver_power * core_time + counts.conversions_out * price.read,
        laser_overhead=light * (1 / price.laser_efficiency - 1),
    )


def dac_scale(bits: int) -> float:
    """Energy of a DAC of `bits` bits over that of 8 bits, after P ~ 2^b / (b + 1) (SimPhony, DAC 2025)."""
    return (2.0**bits / (bits + 1)) / (2.0**DEFAULT_BITS / (DEFAULT_BITS + 1))
