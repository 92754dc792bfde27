"""The optical link of a tensor core, from the laser to a detector on the longest path, and the laser that it needs."""

from __future__ import annotations

import math
from typing import Any

from lightloom.chips import Chip
from lightloom.cost.system import System
from lightloom.cost.technology import DEFAULT_BITS, Loss, cost_of


def losses(chip: Chip) -> list[Loss]:
    """What light meets from the laser of one wavelength, or of an array, to one detector.

    The split of a laser's light to the inputs of a core costs no detector anything as long as all inputs are on: on a
    mesh, k inputs become k outputs; on a crossbar, the light of k slots adds up.
    """
    devices, size = chip.devices, chip.block_size
    entry = [
        Loss("chip coupling", devices.coupling_loss.value),
        Loss(f"split to {size} inputs", 10 * math.log10(size)),
        Loss("modulator", devices.modulator_loss.value),
    ]
    return [*entry, *cost_of(chip).losses()]


def path_loss_db(chip: Chip) -> float:
    """Loss in dB on the longest path, all inputs on; on a mesh without the split of which each output gets one part."""
    return sum(loss.loss_db for loss in losses(chip)) - cost_of(chip).shared_split_db()


def laser_light(chip: Chip) -> float:
    """Optical power in W out of the lasers of one core: its sensitivity for each detector, with losses.

    On a mesh for k outputs on k wavelengths; on a crossbar for its rows when every slot is fully open.
    """
    at_detector = 1e-3 * 10 ** (chip.devices.detector_sensitivity.value / 10)
    return cost_of(chip).lit_detectors * at_detector * 10 ** (path_loss_db(chip) / 10)


def levels(chip: Chip) -> int:
    """2^b, the levels that the output converters tell apart."""
    return int(2 ** (chip.output_bits or DEFAULT_BITS))


def extinction_factor(chip: Chip) -> float:
    """What a laser must give more where a dark modulator lets light through, 1 / (1 - 10^(-ER/10)) (SimPhony, 2025)."""
    leaked = 10 ** (-chip.devices.modulator_extinction.value / 10)
    if leaked >= 1:
        raise ValueError(f"chip `{chip.name}`: modulators of 0 dB extinction modulate nothing; give more than 0 dB")
    return 1 / (1 - leaked)


def reserves(chip: Chip, system: System) -> list[Loss]:
    """What a system asks of the laser beyond the losses.

    Args:
        chip: Whose core.
        system: Which reserves it asks for.
    """
    steps = []
    if system.extinction:
        steps.append(Loss("finite extinction of the modulators", 10 * math.log10(extinction_factor(chip))))
    if system.laser_levels:
        steps.append(Loss(f"{levels(chip)} levels told apart", 10 * math.log10(levels(chip))))
    if system.margin_db:
        steps.append(Loss("margin", system.margin_db))
    return steps


def laser_factor(chip: Chip, system: System) -> float:
    """The factor by which the reserves of a system raise the laser's power.

    Args:
        chip: Whose core.
        system: Which reserves it asks for.
    """
    return float(10 ** (sum(loss.loss_db for loss in reserves(chip, system)) / 10))


def budget(chip: Chip, system: System, lit: int) -> dict[str, Any]:
    """The walk from the laser to the detector.

    Args:
        chip: Whose core.
        system: Which reserves it asks for.
        lit: Cores that have light at the same time.
    """
    level = chip.devices.detector_sensitivity.value
    way = [*losses(chip), *reserves(chip, system)]
    level += sum(loss.loss_db for loss in way)
    steps = [{"what": "laser", "loss_db": 0.0, "level_dbm": level}]
    for loss in way:
        level -= loss.loss_db
        steps.append({"what": loss.what, "loss_db": loss.loss_db, "level_dbm": level})
    steps.append({"what": "detector at its sensitivity", "loss_db": 0.0, "level_dbm": level})
    light, efficiency = laser_light(chip) * laser_factor(chip, system), chip.devices.laser_efficiency.value
    plain = light / levels(chip) if system.laser_levels else light
    return {
        "chip": chip.name,
        "technology": chip.technology,
        "channels": cost_of(chip).channels,
        "laser_w": light,
        "laser_electrical_w": light / efficiency,
        "total_laser_w": light / efficiency * lit,
        "cores_lit": lit,
        "bits": chip.output_bits or DEFAULT_BITS,
        "bits_factor": levels(chip) if system.laser_levels else 1,
        "laser_w_without_levels": plain,
        "laser_w_with_levels": plain * levels(chip),
        "steps": steps,
    }
