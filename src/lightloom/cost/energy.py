"""Energy of one optical layer, part by part, from the device constants of its chip.

Pure arithmetic on counts; the assumptions are listed in `ASSUMPTIONS` and printed with every result.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.chips import Chip, MeshChip
from lightloom.nn import Counts
from lightloom.physics import mesh
from lightloom.physics.phases import wrap

ASSUMPTIONS = (
    "Layers follow one another, one inference at a time.",
    "Laser light and receivers are on only while their layer computes; each detector is given its sensitivity per "
    "wavelength, after all losses on the longest path; shot-noise limits of more bits are not added.",
    "Sums over block columns are electronic and free.",
    "Converters without a stated resolution in the chip are counted as 8 bit; DAC energy grows as 2^b / (b + 1), ADC "
    "energy as b.",
    "Each layer takes one symbol more to modulate and one more to detect; time of flight (tens of ps) is left out.",
    "Memory, activations, norms and control electronics are outside every boundary here.",
)

MESH_ASSUMPTIONS = (
    "Every block of every weight matrix has a tensor core of its own, programmed once; that is not counted.",
    "One call carries up to k input vectors, one per wavelength.",
    "Phase shifters hold their programmed phase for the whole inference, with a power that grows with the phase.",
    "A modulated input is split to all block rows that need it.",
)

DEFAULT_BITS = 8
"""Of a converter without a stated resolution."""


class LayerEnergy(NamedTuple):
    """Energy of one layer for one inference, in J."""

    shifters: float
    """Holding the phases of meshes."""
    laser_light: float
    modulators: float
    detectors: float
    laser_overhead: float
    """What the laser turns into heat: wall plug less light."""
    writes: float = 0.0
    """Writing the cells of PCM crossbars."""


def optical_time(counts: Counts, chip: Chip) -> float:
    """Seconds that light flows through a layer for one inference: all its cores work side by side."""
    return counts.calls / counts.cores / chip.devices.symbol_rate.value


def converter_time(chip: Chip) -> float:
    """Seconds added to a layer by filling its converters."""
    return 2 / chip.devices.symbol_rate.value


def layer_energy(counts: Counts, chip: MeshChip, holding_power: float, inference_time: float) -> LayerEnergy:
    """Energy of one layer for one inference.

    Args:
        counts: Of the layer, for one inference.
        chip: Its hardware.
        holding_power: Of its phase shifters, in W, see `holding_power`.
        inference_time: Of the whole network in s: heaters stay on throughout.
    """
    devices, time = chip.devices, optical_time(counts, chip)
    light = laser_light(chip) * counts.cores * time
    receivers = counts.cores * chip.block_size**2  # one per output and wavelength
    receiver_power = devices.detector_power.value + devices.amplifier_power.value
    bits_in, bits_out = chip.input_bits or DEFAULT_BITS, chip.output_bits or DEFAULT_BITS
    modulator = devices.modulator_energy.value * bits_in + devices.dac_energy.value * dac_scale(bits_in)
    converter = devices.adc_energy.value * bits_out / DEFAULT_BITS
    return LayerEnergy(
        shifters=holding_power * inference_time,
        laser_light=light,
        modulators=counts.conversions_in * modulator,
        detectors=receivers * receiver_power * time + counts.conversions_out * converter,
        laser_overhead=light * (1 / devices.laser_efficiency.value - 1),
    )


def path_loss_db(chip: MeshChip) -> float:
    """Loss in dB from the laser to a detector on the longest path: coupler, modulator, both meshes, attenuator."""
    devices = chip.devices
    mzis = 2 * mesh.depth(chip.block_size, chip.layout) + 1
    return devices.coupling_loss.value + devices.modulator_loss.value + mzis * devices.mzi_loss.value


def laser_light(chip: MeshChip) -> float:
    """Optical power in W out of the laser for one core: its sensitivity for k outputs on k wavelengths, with losses."""
    at_detector = 1e-3 * 10 ** (chip.devices.detector_sensitivity.value / 10)
    return chip.block_size**2 * at_detector * 10 ** (path_loss_db(chip) / 10)


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


def dac_scale(bits: int) -> float:
    """Energy of a DAC of `bits` bits over that of 8 bits, after P ~ 2^b / (b + 1) (SimPhony, DAC 2025)."""
    return (2.0**bits / (bits + 1)) / (2.0**DEFAULT_BITS / (DEFAULT_BITS + 1))
