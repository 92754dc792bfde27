"""The settings with which a known chip comes nearest to what is wanted, on the drive's own levels.

First as if the drive were exact: Gauss-Newton through the twin, so crosstalk, limits of the heaters and devices that do
not move are weighed together. Then on the levels: with everything else held, the misfit is a parabola in each
setting, so the best level is the one nearest to its vertex, and sweeps over the settings let each make up for how
the others were rounded. Plain rounding leaves several times the error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from lightloom.common.seeds import named_generator
from lightloom.lab.mesh.identify.jacobians import drive_block_jacobian, drive_mesh_jacobian
from lightloom.lab.mesh.instrument import BlockSettings
from lightloom.lab.mesh.twin import DigitalTwin, rounded
from lightloom.physics import mesh, phases, rounding

Model = Callable[[Tensor], tuple[Tensor, Tensor]]
"""A model of blocks: drives [blocks, p] to matrices [blocks, k, k] and jacobian [blocks, p, k, k]."""
Rounding = Callable[[Tensor], Tensor]
"""A rounding of drives [blocks, p], out of range too, to the nearest levels."""

_MARGIN = 1.03
"""Gain over the largest singular value: an attenuator that is wide open could not be corrected upwards."""
_ATTEMPTS = 3
_TOP = 2 * math.pi * (1 - 1e-12)
"""Asks for the highest level; 2 pi itself would wrap to no heat at all."""


def settings_for_identity(twin: DigitalTwin) -> BlockSettings:
    """Settings at which U and V of every block are as near to signed identities as the drive's levels let them.

    Of the two phases in a turn at which an MZI goes straight, the one with less heat is taken; where a heater does not
    follow its drive, another MZI on the same two waveguides turns back what it turns.
    """
    u_phases, v_phases = _straight(twin, "u"), _straight(twin, "v")
    return BlockSettings(u_phases, v_phases, torch.ones_like(twin.sigma_gamma))


def settings_for_targets(
    twin: DigitalTwin, targets: Tensor, *, near: BlockSettings | None = None
) -> tuple[BlockSettings, Tensor]:
    """Settings and gains [blocks] at which gain x the blocks come nearest to `targets` [blocks, k, k].

    The modes of a target can be given to the attenuators in any order and with either sign. A few such choices are
    tried: in some, a phase falls where its heater does not reach, since a weak one ends short of a full turn.

    Args:
        twin: The chip as it is known.
        targets: Real, any scale; a block of zeros closes its attenuators.
        near: Settings to improve, from an earlier call with the same targets; None starts afresh.
    """
    largest = torch.linalg.matrix_norm(targets.double(), 2)
    scaled = targets / torch.where(largest > 0, largest * _MARGIN, 1.0).view(-1, 1, 1)
    model, levels = partial(_block_model, twin), partial(_block_levels, twin)
    if near is None:
        candidates = [_solve(model, scaled, start, levels) for start in _starts(twin, scaled)]
    else:
        start = torch.cat([near.u_phases, near.v_phases, near.sigma.acos()], dim=-1)
        candidates = [_refine_levels(model, scaled, levels(start), levels), _solve(model, scaled, start, levels)]
    best, misfit = candidates[0], torch.full_like(largest, math.inf)
    for drives in candidates:
        squares = (model(drives)[0] - scaled).square().sum((-2, -1))
        best = torch.where((squares < misfit).unsqueeze(-1), drives, best)
        misfit = torch.minimum(squares, misfit)
    u_drive, v_drive, angle = _split(twin, best)
    settings = BlockSettings(u_drive.clamp(max=_TOP), v_drive.clamp(max=_TOP), angle.cos())
    matrices = twin.matrices(settings)
    power = matrices.square().sum((-2, -1))
    return settings, torch.where(power > 0, (matrices * targets).sum((-2, -1)) / power, 0.0)


def _starts(twin: DigitalTwin, scaled: Tensor) -> list[Tensor]:
    """Drives [blocks, 2 n + k] from singular value decompositions, modes in several orders and signs."""
    u, sigma, v = torch.linalg.svd(scaled)
    generator = named_generator(0, "modes")
    starts = []
    for attempt in range(_ATTEMPTS):
        order = torch.arange(len(sigma[0]))
        signs = torch.ones_like(sigma[0])
        if attempt:
            order = torch.randperm(len(order), generator=generator)
            signs = torch.where(torch.rand(len(order), generator=generator) < 0.5, -1.0, 1.0).to(sigma)
        u_wanted, u_signs = _signs_to_middle(u[..., order] * signs, twin)
        v_wanted, v_signs = mesh.decompose(v[:, order] * signs.unsqueeze(-1), layout=twin.chip.layout)
        assert v_signs is not None  # a real mesh has them, and V's are next to the attenuators
        u_drive = _inverted(u_wanted, twin.u_gamma, twin.u_bias, twin, turn=2 * math.pi)
        v_drive = _inverted(v_wanted, twin.v_gamma, twin.v_bias, twin, turn=2 * math.pi)
        starts.append(torch.cat([u_drive, v_drive, (sigma[:, order] * u_signs * v_signs).acos()], dim=-1))
    return starts


def _split(twin: DigitalTwin, drives: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    shifters = twin.u_bias.shape[-1]
    u, v, angles = torch.split(drives, [shifters, shifters, drives.shape[-1] - 2 * shifters], dim=-1)
    return u, v, angles


def _block_model(twin: DigitalTwin, drives: Tensor) -> tuple[Tensor, Tensor]:
    return drive_block_jacobian(twin, *_split(twin, drives))


def _block_levels(twin: DigitalTwin, drives: Tensor) -> Tensor:
    u, v, angles = _split(twin, drives)
    angles = rounding.quantise(angles.clamp(0, math.pi), twin.chip.weight_bits, span=math.pi)
    return torch.cat([_mesh_levels(twin, u), _mesh_levels(twin, v), angles], dim=-1)


def _mesh_levels(twin: DigitalTwin, drives: Tensor) -> Tensor:
    return rounded(drives.clamp(0, 2 * math.pi), twin.chip)


def _straight(twin: DigitalTwin, side: str) -> Tensor:
    """Drives [blocks, n] of one mesh for a signed identity."""
    gamma, bias = getattr(twin, f"{side}_gamma"), getattr(twin, f"{side}_bias")
    realised = _turned_back(torch.zeros_like(bias), gamma, bias, twin)
    start = _inverted(realised, gamma, bias, twin, turn=math.pi)

    def model(drives: Tensor) -> tuple[Tensor, Tensor]:
        return drive_mesh_jacobian(twin, drives, side)

    matrices = model(start)[0]
    diagonal = matrices.diagonal(dim1=-2, dim2=-1)
    scale = matrices.square().mean((-2, -1)).mul(matrices.shape[-1]).sqrt()  # what loss leaves of 1
    signs = torch.where(diagonal < 0, -1.0, 1.0).to(matrices) * scale.unsqueeze(-1)
    return _solve(model, signs.diag_embed(), start, partial(_mesh_levels, twin)).clamp(max=_TOP)


def _turned_back(realised: Tensor, gamma: Tensor, bias: Tensor, twin: DigitalTwin) -> Tensor:
    """The wanted phases, with those of MZIs that do not move taken back by the next movable one of the same pair."""
    still = gamma.abs() < 0.5
    if not still.any():
        return realised
    wiring = mesh.wiring(twin.chip.block_size, twin.chip.layout)
    realised = realised.clone()
    for block, mzi in still.nonzero().tolist():
        pair = (wiring.upper == wiring.upper[mzi]) & (wiring.lower == wiring.lower[mzi]) & ~still[block]
        partners = pair.nonzero().flatten()
        if len(partners):
            nearest = partners[(wiring.column[partners] - wiring.column[mzi]).abs().argmin()]
            realised[block, nearest] -= bias[block, mzi]
    return realised


def _signs_to_middle(u: Tensor, twin: DigitalTwin) -> tuple[Tensor, Tensor]:
    """Phases of U and the signs at its inputs, next to the attenuators: a sign passes an MZI and turns its phase."""
    realised, signs = mesh.decompose(u, layout=twin.chip.layout)
    assert signs is not None  # a real mesh has them
    return mesh.signs_to_input(realised, signs, twin.chip.layout), signs


def _inverted(realised: Tensor, gamma: Tensor, bias: Tensor, twin: DigitalTwin, *, turn: float) -> Tensor:
    """Drives that realise `realised` modulo `turn`, as far as heaters reach; crosstalk by fixed-point iteration."""
    heat = phases.wrap(realised - bias)
    slack = 0.1 if turn < 2 * math.pi else 0.0  # a drive just above 0 must not be pushed below it
    for _ in range(10):
        exact = realised - bias - twin.coupling * twin.neighbour_heat(heat)
        heat = torch.remainder(exact - slack, turn) + slack
    return (heat / torch.where(gamma.abs() < 0.5, 1.0, gamma)).clamp(0, 2 * math.pi)


def _solve(model: Model, target: Tensor, start: Tensor, rounding: Rounding) -> Tensor:
    """Levels [blocks, p] that bring the model nearest to `target`."""
    return _refine_levels(model, target, rounding(_levenberg_marquardt(model, target, start)), rounding)


def _refine_levels(model: Model, target: Tensor, best: Tensor, rounding: Rounding) -> Tensor:
    """The best levels around those given."""
    misfit = (model(best)[0] - target).square().sum((-2, -1))
    for _ in range(3):
        trial = _coordinate_descent(model, target, best, rounding)
        trial_misfit = (model(trial)[0] - target).square().sum((-2, -1))
        better = trial_misfit < misfit
        best = torch.where(better.unsqueeze(-1), trial, best)
        misfit = torch.minimum(misfit, trial_misfit)
    return best


def _levenberg_marquardt(model: Model, target: Tensor, drives: Tensor, iterations: int = 15) -> Tensor:
    """Levenberg-Marquardt without levels; heat stays between none and a full turn."""
    top = 2 * math.pi
    damping = torch.full_like(drives[:, 0], 1e-2)
    matrices, jacobian = model(drives)
    for _ in range(iterations):
        misfit = (matrices - target).flatten(1)
        if misfit.abs().max() < 1e-9:
            break
        flat = jacobian.flatten(2)
        curvature = flat @ flat.mT
        weight = damping * curvature.diagonal(dim1=-2, dim2=-1).mean(-1) + 1e-12
        factor, _ = torch.linalg.cholesky_ex(curvature + weight.view(-1, 1, 1) * torch.eye(flat.shape[1]).to(flat))
        step = torch.cholesky_solve(flat @ misfit.unsqueeze(-1), factor).squeeze(-1).nan_to_num()
        trial = (drives - step).clamp(0, top)
        trial_matrices, trial_slopes = model(trial)
        better = (trial_matrices - target).square().sum((-2, -1)) < misfit.square().sum(-1)
        drives = torch.where(better.unsqueeze(-1), trial, drives)
        matrices = torch.where(better.view(-1, 1, 1), trial_matrices, matrices)
        jacobian = torch.where(better.view(-1, 1, 1, 1), trial_slopes, jacobian)
        damping = torch.where(better, damping * 0.2, damping * 10).clamp(1e-8, 1e8)
    return drives


def _coordinate_descent(model: Model, target: Tensor, drives: Tensor, rounding: Rounding, sweeps: int = 6) -> Tensor:
    """Coordinate descent over levels on the quadratic misfit around `drives`."""
    matrices, jacobian = model(drives)
    flat = jacobian.flatten(2)
    curvature = flat @ flat.mT
    gradient = (flat @ (matrices - target).flatten(1).unsqueeze(-1)).squeeze(-1)
    own = curvature.diagonal(dim1=-2, dim2=-1).clamp_min(1e-9)
    current = drives.clone()
    for _ in range(sweeps):
        for index in range(drives.shape[1]):
            vertex = current.clone()
            vertex[:, index] -= gradient[:, index] / own[:, index]
            moved = rounding(vertex)[:, index] - current[:, index]
            gradient = gradient + curvature[:, :, index] * moved.unsqueeze(-1)
            current[:, index] += moved
    return current
