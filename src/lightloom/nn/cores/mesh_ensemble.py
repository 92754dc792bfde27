"""The weights of one mesh core on many specimens, made together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lightloom.chips import MeshErrors, several
from lightloom.physics import attenuators, blocks, mesh, phases

if TYPE_CHECKING:
    from lightloom.nn.cores.mesh import MeshCore

_DENSE = 512  # phase shifters of a mesh up to which a matrix of all pairs pays


@torch.no_grad()
def specimen_weights(core: MeshCore, seeds: Sequence[int]) -> Tensor:
    """Effective weights [S, groups * rows, columns], see `TensorCore.specimen_weights`."""
    if core.matrix is not None:
        return core.matrix.detach().expand(len(seeds), -1, -1)
    drawn = MeshErrors(*(None if e is None else e.to(core.sigma) for e in _errors(core, seeds)))
    u = _meshes(core, core.u_phases, drawn.u_gamma, drawn.u_bias, core.u_signs, len(seeds))
    v = _meshes(core, core.v_phases, drawn.v_gamma, drawn.v_bias, None, len(seeds))
    sigma = attenuators.attenuate(
        core.sigma.detach().expand(len(seeds), *core.sigma.shape),
        bits=core.chip.weight_bits,
        gamma_ratio=drawn.sigma_gamma,
        noise_std=core.chip.phase_noise_std,
        least_gain=core.gain.expand(len(seeds), *core.gain.shape),
    )
    # specimens stand side by side as the groups of one layer do
    u, v, sigma = u.flatten(0, 1), v.flatten(0, 1), sigma.flatten(0, 1)
    joined = blocks.assemble(u, sigma, v, core.rows, core.columns)
    joined = joined.real if joined.is_complex() else joined
    return joined.view(len(seeds), core.groups * core.rows, core.columns)


def _errors(core: MeshCore, seeds: Sequence[int]) -> MeshErrors:
    """[S, groups, p, q, ...]."""
    return several.mesh_errors(core.chip, seeds, core.name, core.blocks, core.shifters)


def _meshes(
    core: MeshCore, asked: Tensor, gamma: Tensor | None, bias: Tensor | None, signs: Tensor | None, count: int
) -> Tensor:
    """[S, groups, p, q, k, k] of one side."""
    chip = core.chip
    heat = phases.realise(asked.detach(), bits=chip.weight_bits, dac=chip.dac)  # the same for all
    heat = (heat if gamma is None else heat * gamma).expand(count, *asked.shape)
    realised = _warmed(heat, chip.crosstalk, core.neighbours)
    realised = realised if bias is None else realised + bias
    if chip.phase_noise_std > 0:
        realised = realised + phases.truncated_noise(realised, chip.phase_noise_std)
    return mesh.build(
        realised, chip.block_size, layout=chip.layout, field=chip.field, signs=signs, loss_db=chip.insertion_loss_db
    )


def _warmed(heat: Tensor, coupling: float, neighbours: Tensor) -> Tensor:
    """`phases.crosstalk`; of small meshes as one product with the matrix of who warms whom, many times faster."""
    shifters = heat.shape[-1]
    if coupling == 0 or shifters > _DENSE:
        return phases.crosstalk(heat, coupling, neighbours)
    warms = heat.new_zeros(shifters, shifters + 1)  # a last column for places without a neighbour
    warms.scatter_add_(1, neighbours, torch.ones_like(neighbours, dtype=heat.dtype))
    flat = heat.reshape(-1, shifters)
    return torch.addmm(flat, flat, warms[:, :-1].T, alpha=coupling).view(heat.shape)
