"""Meshes of a network on the bench: the blocks of all its layers side by side, one instrument per kind of chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from lightloom.chips import MeshErrors
from lightloom.lab.instrumented import InstrumentedCores
from lightloom.lab.mesh.instrument import BlockSettings, Instrument, SimulatedInstrument
from lightloom.nn import MeshCore
from lightloom.physics import blocks
from lightloom.physics.phases import TWO_PI

_HIGHEST = TWO_PI - 1e-5
"""A drive just below a full turn would round to one in single precision, and a full turn wraps to no heat at all."""


@dataclass(frozen=True)
class InstrumentedMeshes(InstrumentedCores):
    """The mesh cores of one kind of chip, and the instrument on which all their blocks stand side by side."""

    cores: dict[str, MeshCore]
    """The cores by layer; their blocks stand on the instrument in this order."""
    instrument: Instrument

    @classmethod
    def connect(cls, cores: Mapping[str, MeshCore], *, readout_std: float = 0.0, seed: int = 0) -> list[Self]:
        """Put mesh cores behind simulated instruments, one for all cores of equal chips.

        Args:
            cores: The cores by layer.
            readout_std: Standard deviation of the noise of each measured value, relative to full scale.
            seed: Seed of that noise; instruments after the first take the seeds that follow.
        """
        return [
            cls(group, _instrument(list(group.values()), readout_std, seed + number))
            for number, group in enumerate(_of_equal_chips(cores))
        ]

    def targets(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The blocks [blocks, k, k] of weight matrices [groups * rows, columns] by layer, padded with zeros."""
        return torch.cat([_blocks(core, weights[name]) for name, core in self.cores.items()])

    @torch.no_grad()
    def store(self, settings: BlockSettings, gain: Tensor) -> None:
        """Leave settings that were determined on the bench in the cores: a block makes gain * U diag(sigma) V.

        Args:
            settings: The settings of all blocks.
            gain: [blocks] electronic gain of each block, at least 0.
        """
        counts = [_count(core) for core in self.cores.values()]
        tensors = (settings.u_phases, settings.v_phases, settings.sigma * gain.unsqueeze(-1), gain)
        parts = zip(*(torch.split(tensor, counts) for tensor in tensors), strict=True)
        for core, (u_phases, v_phases, values, scale) in zip(self.cores.values(), parts, strict=True):
            core.gain.copy_(scale.reshape(core.gain.shape))
            core.u_phases.copy_(u_phases.clamp(max=_HIGHEST).reshape(core.u_phases.shape))
            core.v_phases.copy_(v_phases.clamp(max=_HIGHEST).reshape(core.v_phases.shape))
            core.sigma.copy_(values.reshape(core.sigma.shape))
            if core.u_signs is not None:
                core.u_signs.fill_(1)  # on the bench there is nobody behind the detectors to flip signs


def _of_equal_chips(cores: Mapping[str, MeshCore]) -> list[dict[str, MeshCore]]:
    groups: list[dict[str, MeshCore]] = []
    for name, core in cores.items():
        alike = next((group for group in groups if next(iter(group.values())).chip == core.chip), None)
        if alike is None:
            groups.append({name: core})
        else:
            alike[name] = core
    return groups


def _instrument(cores: list[MeshCore], readout_std: float, seed: int) -> SimulatedInstrument:
    blocks_in_all = sum(_count(core) for core in cores)
    return SimulatedInstrument(cores[0].chip, _errors(cores), blocks_in_all, readout_std=readout_std, seed=seed)


def _count(core: MeshCore) -> int:
    groups, p, q = core.blocks
    return groups * p * q


def _blocks(core: MeshCore, weight: Tensor) -> Tensor:
    matrix = weight.detach().double().reshape(core.groups, core.rows, core.columns)
    return blocks.to_blocks(matrix, core.chip.block_size).flatten(0, 2)


def _errors(cores: list[MeshCore]) -> MeshErrors:
    """The hidden errors of all blocks in a row; a chip either has a kind of error everywhere or nowhere."""
    joined = {}
    for name, parts in zip(MeshErrors._fields, zip(*(core.errors() for core in cores), strict=True), strict=True):
        present = [part.flatten(0, 2).cpu() for part in parts if part is not None]
        joined[name] = torch.cat(present) if present else None
    return MeshErrors(**joined)
