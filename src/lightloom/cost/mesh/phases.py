"""Power that holds the phases of a mesh core, and what setting them takes."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.cost.energy import dac_scale
from lightloom.cost.technology import DEFAULT_BITS
from lightloom.physics import mesh
from lightloom.physics.phases import wrap


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
    """Electrical power in W that holds one core, in the mean over uniform phases; see `MeshCost.expected_settings`."""
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
