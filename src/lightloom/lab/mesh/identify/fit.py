"""Maximum likelihood: the devices of every block that explain all of its measurements best, and how sure that is.

Levenberg-Marquardt on all blocks at once, each with a damping of its own. The prior is what the design says of a
production line: drive coefficients near nominal, weak crosstalk, and nothing about the bias.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.lab.mesh.identify.jacobians import block_jacobian, in_heat
from lightloom.lab.mesh.identify.measurements import Measurements
from lightloom.lab.mesh.instrument import BlockSettings
from lightloom.lab.mesh.twin import DigitalTwin, attenuation, drive
from lightloom.physics import phases

COUPLING_STD = 0.02
"""Width of what is believed of the crosstalk beforehand: a heater passes on a few percent of its heat at most."""
_REUSED = 8
"""Steps between curvatures: a gradient costs a hundredth of one, and a curvature a little off still points right."""
_CHUNK = 1 << 23
"""Numbers of jacobian held at once, 64 MB."""


class Prior(NamedTuple):
    """Independent normal beliefs about each unknown, in the order of `pack`."""

    mean: Tensor
    """[blocks, p]."""
    weight: Tensor
    """[blocks, p], inverse variance; 0 where nothing is known."""

    def of(self, blocks: Tensor) -> Prior:
        """The beliefs about some of the blocks."""
        return Prior(self.mean[blocks], self.weight[blocks])


class Fit(NamedTuple):
    """The best twin and how far to trust it."""

    twin: DigitalTwin
    std: DigitalTwin
    """Posterior standard deviation of each parameter, in the parameter's place."""
    residual: Tensor
    """[blocks], root mean square of what the twin leaves unexplained, relative to full scale."""


class _Cost(NamedTuple):
    cost: Tensor
    gradient: Tensor


def pack(twin: DigitalTwin) -> Tensor:
    """The unknowns as [blocks, p]: biases of U and V (rad), gammas of U, V and the attenuators, crosstalk."""
    parts = (twin.u_bias, twin.v_bias, twin.u_gamma, twin.v_gamma, twin.sigma_gamma, twin.coupling)
    return torch.cat(parts, dim=-1)


def unpack(packed: Tensor, chip: MeshChip) -> DigitalTwin:
    """The twin of packed unknowns.

    Args:
        packed: [blocks, p], in the order of `pack`.
        chip: The design.
    """
    size = chip.block_size
    shifters = (packed.shape[-1] - size - 1) // 4
    return DigitalTwin(chip, *torch.split(packed, [shifters] * 4 + [size, 1], dim=-1))


def gamma_std(chip: MeshChip) -> float:
    """Relative spread of the drive coefficients that the design states; never quite 0, or no fit could move them."""
    return max(chip.gamma_std / phases.gamma(chip.v_pi), 1e-6)


def production(chip: MeshChip, blocks: int) -> Prior:
    """What the design says of a device before any measurement of it.

    Args:
        chip: The design.
        blocks: How many blocks there are.
    """
    mean = pack(DigitalTwin.nominal(chip, blocks))
    weight = torch.zeros_like(mean)
    shifters = (mean.shape[-1] - chip.block_size - 1) // 4
    weight[:, 2 * shifters : -1] = gamma_std(chip) ** -2
    weight[:, -1] = COUPLING_STD**-2
    return Prior(mean, weight)


def fit(
    twin: DigitalTwin,
    measurements: Measurements,
    noise: float,
    prior: Prior,
    *,
    iterations: int = 30,
    tolerance: float = 1e-4,
) -> Fit:
    """Fit all measurements from a start that is near.

    Args:
        twin: The start.
        measurements: Every measurement.
        noise: Standard deviation of one measured value: what the prior is weighed against.
        prior: What is believed beforehand.
        iterations: At most this many steps.
        tolerance: A block is done when a step lowers its cost by less than this share.
    """
    settings, outputs = measurements.stacked()
    packed, chip = pack(twin), twin.chip
    blocks = len(packed)
    damping = packed.new_full((blocks,), 1e-3)
    cost, gradient = _cost(packed, chip, settings, outputs, noise, prior)
    curvature = _curvature(packed, chip, settings, noise, prior)
    busy = torch.ones(blocks, dtype=torch.bool)
    for count in range(1, iterations + 1):
        if count % _REUSED == 0:
            curvature[busy] = _curvature(packed[busy], chip, _of(settings, busy), noise, prior.of(busy))
        trial = packed[busy] - _solve(curvature[busy], gradient[busy], damping[busy])
        after = _cost(trial, chip, _of(settings, busy), outputs[:, busy], noise, prior.of(busy))
        better = after.cost < cost[busy]
        at_end = (better & (cost[busy] - after.cost < tolerance * cost[busy])) | (damping[busy] > 1e6)
        index = busy.nonzero().flatten()
        gained = index[better]
        packed[gained], cost[gained], gradient[gained] = trial[better], after.cost[better], after.gradient[better]
        damping[index] *= torch.where(better, 0.1, 10.0)
        damping.clamp_(min=1e-9)
        busy[index[at_end]] = False
        if not busy.any():
            break
    spread = _spread(curvature)  # of a few steps before: near enough for an uncertainty
    best = _wrapped(unpack(packed, chip))
    residual = (best.matrices(settings) - outputs).square().mean((0, -2, -1)).sqrt()
    return Fit(best, unpack(spread, chip), residual)


def _of(settings: BlockSettings, blocks: Tensor) -> BlockSettings:
    return BlockSettings(*(part[:, blocks] for part in settings))


def _cost(
    packed: Tensor, chip: MeshChip, settings: BlockSettings, outputs: Tensor, noise: float, prior: Prior
) -> _Cost:
    """Half the weighted square of misfits and disbelief of every block, and its gradient."""
    with torch.enable_grad():
        unknowns = packed.detach().requires_grad_()
        misfit = (unpack(unknowns, chip).matrices(settings) - outputs) / noise
        disbelief = (unknowns - prior.mean).square() * prior.weight
        cost = (misfit.square().sum((0, -2, -1)) + disbelief.sum(-1)) / 2
        (gradient,) = torch.autograd.grad(cost.sum(), unknowns)
    return _Cost(cost.detach(), gradient)


def _curvature(packed: Tensor, chip: MeshChip, settings: BlockSettings, noise: float, prior: Prior) -> Tensor:
    """Gauss-Newton curvature of every block's cost, [blocks, p, p]."""
    twin = unpack(packed, chip)
    blocks, unknowns = packed.shape
    total = packed.new_zeros(blocks, unknowns, unknowns)
    step = max(1, _CHUNK // (blocks * unknowns * chip.block_size**2))
    for first in range(0, len(settings.sigma), step):
        jacobian = _jacobian(twin, BlockSettings(*(tensor[first : first + step] for tensor in settings)))
        wide = jacobian.permute(1, 2, 0, 3).flatten(2)
        total += wide @ wide.mT
    return total / noise**2 + torch.diag_embed(prior.weight)


def _jacobian(twin: DigitalTwin, settings: BlockSettings) -> Tensor:
    """Derivatives of the matrices in the order of `pack`, [measurements, blocks, p, k * k]."""
    chip, shifters = twin.chip, twin.u_bias.shape[-1]
    u_drive, v_drive = drive(settings.u_phases, chip), drive(settings.v_phases, chip)
    angle = attenuation(settings.sigma, chip)
    jacobian = block_jacobian(twin, *twin.phases(settings), angle * twin.sigma_gamma)[1].flatten(-2)
    in_u, in_v, in_angle = torch.split(jacobian, [shifters, shifters, chip.block_size], dim=-2)
    u_warmth, v_warmth = twin.neighbour_heat(u_drive * twin.u_gamma), twin.neighbour_heat(v_drive * twin.v_gamma)
    by_coupling = u_warmth.unsqueeze(-2) @ in_u + v_warmth.unsqueeze(-2) @ in_v
    u_heat, v_heat = in_heat(twin, in_u) * u_drive.unsqueeze(-1), in_heat(twin, in_v) * v_drive.unsqueeze(-1)
    return torch.cat([in_u, in_v, u_heat, v_heat, in_angle * angle.unsqueeze(-1), by_coupling], dim=-2)


def _solve(curvature: Tensor, gradient: Tensor, damping: Tensor) -> Tensor:
    diagonal = curvature.diagonal(dim1=-2, dim2=-1)
    factor, _ = torch.linalg.cholesky_ex(curvature + torch.diag_embed(diagonal * damping.unsqueeze(-1) + 1e-12))
    step: Tensor = torch.cholesky_solve(gradient.unsqueeze(-1), factor)
    return step.squeeze(-1).nan_to_num()


def _spread(curvature: Tensor) -> Tensor:
    """Posterior standard deviations; a direction that nothing constrains shows as a very wide one."""
    scale = curvature.diagonal(dim1=-2, dim2=-1).clamp_min(1e-30).rsqrt()
    even = curvature * scale.unsqueeze(-1) * scale.unsqueeze(-2)
    factor, _ = torch.linalg.cholesky_ex(even + 1e-12 * torch.eye(even.shape[-1]).to(even))
    spread: Tensor = torch.cholesky_inverse(factor).diagonal(dim1=-2, dim2=-1).sqrt() * scale
    return spread


def _wrapped(twin: DigitalTwin) -> DigitalTwin:
    u_bias, v_bias = (phases.wrap(bias) for bias in (twin.u_bias, twin.v_bias))
    return DigitalTwin(twin.chip, u_bias, v_bias, twin.u_gamma, twin.v_gamma, twin.sigma_gamma, twin.coupling)
