"""Energy and time of one optical layer on PCM crossbars, part by part, from the device constants of its chip.

Writing comes from the cells themselves (see `cost.writes`), the rest from counts.
"""

from __future__ import annotations

import math

from lightloom.chips import PCMChip
from lightloom.cost.energy import DEFAULT_BITS, LayerEnergy, dac_scale
from lightloom.nn import Counts

ASSUMPTIONS = (
    "Every block row of a PCM layer has one array of k x k cell pairs, rewritten for each block column; all vectors of "
    "an inference pass between two rewrites, one per symbol, and cells need no power in between.",
    "Light of a slot is split to the k rows of both cells; each row's light adds up on one detector per sign without a "
    "loss of its own. Signed inputs, sent in two passes, are counted as one.",
    "All cells of all arrays of a layer are written at the same time; a turn lasts as long as its slowest cell.",
)


def layer_energy(counts: Counts, chip: PCMChip, writing: float) -> LayerEnergy:
    """Energy of one layer for one inference.

    Args:
        counts: Of the layer, for one inference.
        chip: Its hardware.
        writing: Energy in J that writing its cells takes, see `cost.writes.writing`.
    """
    devices, time = chip.devices, counts.calls / counts.cores / chip.devices.symbol_rate.value
    light = laser_light(chip) * counts.cores * time
    receivers = 2 * counts.cores * chip.block_size  # one per row and sign
    receiver_power = devices.detector_power.value + devices.amplifier_power.value
    bits_in, bits_out = chip.input_bits or DEFAULT_BITS, chip.output_bits or DEFAULT_BITS
    modulator = devices.modulator_energy.value * bits_in + devices.dac_energy.value * dac_scale(bits_in)
    converter = devices.adc_energy.value * bits_out / DEFAULT_BITS
    return LayerEnergy(
        shifters=0.0,
        writes=writing,
        laser_light=light,
        modulators=counts.conversions_in * modulator,
        detectors=receivers * receiver_power * time + counts.conversions_out * converter,
        laser_overhead=light * (1 / devices.laser_efficiency.value - 1),
    )


def path_loss_db(chip: PCMChip) -> float:
    """Loss in dB from the laser to a detector, on the longest path through a cell at its clearest.

    Coupler, modulator, a tree of splitters to the rows of both signs, the crossings with the other slots, the cell.
    """
    devices, rows = chip.devices, 2 * chip.block_size
    split = 10 * math.log10(rows) + math.ceil(math.log2(rows)) * devices.splitter_loss.value
    crossings = (chip.block_size - 1) * devices.crossing_loss.value
    return devices.coupling_loss.value + devices.modulator_loss.value + split + crossings + devices.cell_loss.value


def laser_light(chip: PCMChip) -> float:
    """Optical power in W out of the laser for one array: enough for each detector, from one slot fully open."""
    at_detector = 1e-3 * 10 ** (chip.devices.detector_sensitivity.value / 10)
    return at_detector * 10 ** (path_loss_db(chip) / 10)
