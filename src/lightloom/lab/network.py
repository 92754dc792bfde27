"""A whole network on the bench: the blocks of all its layers side by side, one instrument per kind of chip."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lightloom.chips import MeshErrors
from lightloom.lab.mesh.instrument import BlockSettings, Instrument, SimulatedInstrument
from lightloom.nn import MeshCore, cores
from lightloom.physics import blocks
from lightloom.physics.phases import TWO_PI

_HIGHEST = TWO_PI - 1e-5
"""A drive just below a full turn would round to one in single precision, and a full turn wraps to no heat at all."""


@dataclass(frozen=True)
class Rack:
    """The tensor cores of one kind of chip, and the instrument on which all their blocks stand side by side."""

    cores: dict[str, MeshCore]
    """By layer; their blocks stand on the instrument in this order."""
    instrument: Instrument

    def targets(self, weights: Mapping[str, Tensor]) -> Tensor:
        """The blocks [blocks, k, k] of weight matrices [groups * rows, columns] by layer, padded with zeros."""
        return torch.cat([_blocks(core, weights[name]) for name, core in self.cores.items()])

    @torch.no_grad()
    def store(self, settings: BlockSettings, gain: Tensor) -> None:
        """Leave settings found on the bench in the cores: a block makes gain * U diag(sigma) V.

        Args:
            settings: Of all blocks.
            gain: [blocks], at least 0.
        """
        counts = [_count(core) for core in self.cores.values()]
        found = (settings.u_phases, settings.v_phases, settings.sigma * gain.unsqueeze(-1), gain)
        parts = zip(*(torch.split(tensor, counts) for tensor in found), strict=True)
        for core, (u_phases, v_phases, values, scale) in zip(self.cores.values(), parts, strict=True):
            core.gain.copy_(scale.reshape(core.gain.shape))
            core.u_phases.copy_(u_phases.clamp(max=_HIGHEST).reshape(core.u_phases.shape))
            core.v_phases.copy_(v_phases.clamp(max=_HIGHEST).reshape(core.v_phases.shape))
            core.sigma.copy_(values.reshape(core.sigma.shape))
            if core.u_signs is not None:
                core.u_signs.fill_(1)  # on the bench there is nobody behind the detectors to flip signs


def racks(model: nn.Module, *, readout_std: float = 0.0, seed: int = 0) -> list[Rack]:
    """Put every tensor core of a converted model, with its specimen's devices, behind simulated instruments.

    Args:
        model: A converted model, installed on a specimen.
        readout_std: Noise of each measured value, relative to full scale.
        seed: Of that noise.

    Raises:
        ValueError: The model has no layer on meshes.
    """
    kinds: list[dict[str, MeshCore]] = []
    for name, core in cores(model, MeshCore).items():
        alike = next((kind for kind in kinds if next(iter(kind.values())).chip == core.chip), None)
        if alike is None:
            kinds.append({name: core})
        else:
            alike[name] = core
    if not kinds:
        raise ValueError("nothing to put on the bench: the model has no layer on meshes; use `convert` first")
    return [
        Rack(
            kind,
            SimulatedInstrument(
                next(iter(kind.values())).chip,
                _errors(list(kind.values())),
                sum(_count(core) for core in kind.values()),
                readout_std=readout_std,
                seed=seed + number,
            ),
        )
        for number, kind in enumerate(kinds)
    ]


def _count(core: MeshCore) -> int:
    groups, p, q = core.blocks
    return groups * p * q


def _blocks(core: MeshCore, weight: Tensor) -> Tensor:
    matrix = weight.detach().double().reshape(core.groups, core.rows, core.columns)
    return blocks.to_blocks(matrix, core.chip.block_size).flatten(0, 2)


def _errors(cores: list[MeshCore]) -> MeshErrors:
    """The hidden errors of all blocks in a row; a chip either has a kind of error everywhere or nowhere."""
    joined = []
    for field in MeshErrors._fields:
        parts = [getattr(core, field) for core in cores]
        present = [part.flatten(0, 2).cpu() for part in parts if part is not None]
        joined.append(torch.cat(present) if present else None)
    return MeshErrors(*joined)
