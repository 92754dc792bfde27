"""Bytes that a layer moves between DRAM, the on-chip buffer and registers."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from lightloom.chips import Chip
from lightloom.cost.schedule import Events
from lightloom.cost.system import System
from lightloom.cost.technology import cost_of

ASSUMPTIONS = (
    "Weights lie in DRAM as the settings of their cores, and stay in the buffer where those of all layers fit; else "
    "each layer's come from DRAM once per batch, or at every setting where the layer alone does not fit.",
    "Activations pass through the buffer: each is read when it is modulated and written when it is made; those of a "
    "layer that do not fit go to DRAM and back. The network's input comes from DRAM, its output goes there.",
    "Partial sums of different times are kept in the buffer, those of the same time are added in registers.",
    "DRAM works while light computes: it costs time only where a layer's bytes take longer than the layer.",
)


@dataclass(frozen=True)
class Traffic:
    """Bytes that are moved: by memory, and of DRAM and buffer together by what they are."""

    dram: float = 0.0
    """Bytes to and from DRAM."""
    buffer: float = 0.0
    """Bytes to and from the buffer."""
    registers: float = 0.0
    """Bytes to and from registers."""
    weights: float = 0.0
    """Bytes of weights."""
    inputs: float = 0.0
    """Bytes of inputs."""
    partial_sums: float = 0.0
    """Bytes of partial sums."""
    outputs: float = 0.0
    """Bytes of outputs."""

    def __add__(self, other: Traffic) -> Traffic:
        return Traffic(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def __mul__(self, factor: float) -> Traffic:
        return Traffic(*(getattr(self, f.name) * factor for f in fields(self)))

    def energy(self, system: System) -> dict[str, float]:
        """Energy in J by memory."""
        memory = system.memory
        return {
            "DRAM": self.dram * memory.dram_energy.value,
            "buffer": self.buffer * memory.buffer_energy.value,
            "registers": self.registers * memory.register_energy.value,
        }


def traffic(
    events: Events, chip: Chip, system: System, *, tiles: int, values_in: int, values_out: int, buffered: bool
) -> Traffic:
    """What one layer moves for a batch.

    Args:
        events: What it does.
        chip: Its hardware.
        system: Memory, and bits of values.
        tiles: Of the layer.
        values_in: Activations that it is given by the batch.
        values_out: Activations that it makes of them.
        buffered: Whether the weights of all layers stay in the buffer.
    """
    value, partial, tile = system.activation_bits / 8, system.partial_bits / 8, cost_of(chip).tile_bytes()
    size = system.memory.buffer_size
    fits = tiles * tile <= size
    weights_dram = 0.0 if buffered else min(events.settings, tiles) * tile if fits else events.settings * tile
    weights_buffer = events.settings * tile if fits else 0.0
    spills = (values_in + values_out) * value > size
    inputs, outputs, partials = events.fetches * value, values_out * value, 2 * events.partials * partial
    spilled_in, spilled_out = (values_in * value, values_out * value) if spills else (0.0, 0.0)
    return Traffic(
        dram=weights_dram + spilled_in + spilled_out,
        buffer=weights_buffer + inputs + outputs + partials,
        registers=2 * events.sums * partial,
        weights=weights_dram + weights_buffer,
        inputs=inputs + spilled_in,
        partial_sums=partials,
        outputs=outputs + spilled_out,
    )


def around(values: int, values_in: int, values_out: int, system: System) -> Traffic:
    """What electronics and the ends of the network move for one inference.

    Args:
        values: Results of electronics, each read once and written once in the buffer.
        values_in: Of the network.
        values_out: Of the network.
        system: Bits of values.
    """
    value = system.activation_bits / 8
    return Traffic(
        dram=(values_in + values_out) * value,
        buffer=2 * values * value,
        inputs=values_in * value,
        outputs=values_out * value,
    )


def fitting(tiles: dict[Chip, int], system: System) -> bool:
    """Whether the weights of all layers fit into the buffer together.

    Args:
        tiles: Number of tiles of each chip, of all its layers.
        system: The buffer.
    """
    whole = sum(count * cost_of(chip).tile_bytes() for chip, count in tiles.items())
    return math.ceil(whole) <= system.memory.buffer_size
