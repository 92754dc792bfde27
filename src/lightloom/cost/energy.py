"""Energy of one optical layer, part by part, from the device constants of its chip.

Pure arithmetic on counts; the assumptions are listed in `ASSUMPTIONS` and printed with every result.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.chips import Chip, MeshChip, PCMChip
from lightloom.cost.link import DEFAULT_BITS, laser_light
from lightloom.nn import Counts
from lightloom.physics import mesh
from lightloom.physics.phases import wrap

ASSUMPTIONS = (
    "Layers follow one another; light has left a layer before the next one begins.",
    "Each detector is given its sensitivity per wavelength, after all losses on the longest path; shot-noise limits of "
    "more bits are not added, and neither is the excess loss of trees that split a laser to the inputs of a mesh.",
    "Converters without a stated resolution in the chip are counted as 8 bit; DAC energy grows as 2^b / (b + 1), ADC "
    "energy as b.",
    "Each layer takes one symbol more to modulate and one more to detect; time of flight (tens of ps) is left out.",
    "Control electronics, cooling, drift and recalibration are outside every boundary here.",
)

MESH_ASSUMPTIONS = (
    "One call carries up to k input vectors, one per wavelength.",
    "Phase shifters hold their phase with a power that grows with it; one DAC per core sets them one after another, "
    "one per symbol, and then they settle together.",
)

EXPECTED_PHASES = (
    "Meshes are not programmed: their phases are taken as uniform, pi in the mean, and those of attenuators as pi / 2, "
    "as where every shifter starts at an unknown phase. Shifters that start at zero take some 0.6 of that."
)


class LayerEnergy(NamedTuple):
    """Energy of one layer for one inference, in J."""

    shifters: float
    """Holding the phases of meshes."""
    laser_light: float
    modulators: float
    detectors: float
    laser_overhead: float
    """What the laser turns into heat: wall plug less light."""


class CorePrice(NamedTuple):
    """What one tensor core takes. Energies in J, powers in W, times in s."""

    channels: int
    """Vectors that pass at once."""
    light: float
    """Out of its lasers."""
    receivers: int
    """Photodetectors with their amplifiers."""
    readings: int
    """Values that it gives per symbol, after the difference of two signs."""
    modulators: int
    receiver_power: float
    """Of one photodetector and amplifier."""
    modulate: float
    """One value, modulator and DAC."""
    read: float
    """One value, ADC."""
    symbol: float
    """s."""
    laser_efficiency: float


def core_price(chip: Chip) -> CorePrice:
    """What one tensor core of a chip takes."""
    devices, size = chip.devices, chip.block_size
    bits_in, bits_out = chip.input_bits or DEFAULT_BITS, chip.output_bits or DEFAULT_BITS
    meshes = isinstance(chip, MeshChip)
    rows_private = isinstance(chip, PCMChip) and chip.sharing == "row_private"
    return CorePrice(
        channels=size if meshes else 1,
        light=laser_light(chip),
        receivers=size**2 if meshes else 2 * size,  # one per output and wavelength, or per row and sign
        readings=size**2 if meshes else size,
        modulators=size**2 if meshes or rows_private else size,
        receiver_power=devices.detector_power.value + devices.amplifier_power.value,
        modulate=devices.modulator_energy.value * bits_in + devices.dac_energy.value * dac_scale(bits_in),
        read=devices.adc_energy.value * bits_out / DEFAULT_BITS,
        symbol=1 / devices.symbol_rate.value,
        laser_efficiency=devices.laser_efficiency.value,
    )


def converter_time(chip: Chip) -> float:
    """Seconds added to a layer by filling its converters."""
    return 2 / chip.devices.symbol_rate.value


def layer_energy(counts: Counts, chip: MeshChip, holding_power: float, inference_time: float) -> LayerEnergy:
    """Energy of one layer for one inference, every block on a core of its own.

    Args:
        counts: Of the layer, for one inference.
        chip: Its hardware.
        holding_power: Of its phase shifters, in W, see `holding_power`.
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


def holding_power(state: dict[str, Tensor], chip: MeshChip) -> float:
    """Electrical power in W that holds the programmed phases of a core.

    Args:
        state: Of a mesh core: `u_phases`, `v_phases` [..., n] in rad, `sigma` [..., k] and `gain` [...].
        chip: Its hardware.
    """
    sigma = state["sigma"]
    gain = torch.maximum(sigma.abs().amax(-1), state["gain"]).unsqueeze(-1)
    attenuators = torch.acos((sigma / torch.where(gain > 0, gain, 1)).clamp(-1, 1))
    total = wrap(state["u_phases"]).sum() + wrap(state["v_phases"]).sum() + attenuators.sum()
    return float(total) / math.pi * chip.devices.shifter_power.value


def expected_power(chip: MeshChip) -> float:
    """Electrical power in W that holds one core, in the mean over uniform phases; see `EXPECTED_PHASES`."""
    shifters = 2 * mesh.phase_count(chip.block_size, chip.layout, chip.field)
    return (shifters + chip.block_size / 2) * chip.devices.shifter_power.value


def setting_energy(chip: MeshChip) -> float:
    """Energy in J of the DAC that sets all phases of one core."""
    return shifters_of(chip) * chip.devices.dac_energy.value * dac_scale(chip.weight_bits or DEFAULT_BITS)


def setting_time(chip: MeshChip) -> float:
    """Time in s until all phases of a core are set and have settled."""
    return shifters_of(chip) / chip.devices.symbol_rate.value + chip.devices.shifter_time.value


def shifters_of(chip: MeshChip) -> int:
    """Phase shifters of one core, attenuators included."""
    return 2 * mesh.phase_count(chip.block_size, chip.layout, chip.field) + chip.block_size


def dac_scale(bits: int) -> float:
    """Energy of a DAC of `bits` bits over that of 8 bits, after P ~ 2^b / (b + 1) (SimPhony, DAC 2025)."""
    return (2.0**bits / (bits + 1)) / (2.0**DEFAULT_BITS / (DEFAULT_BITS + 1))
