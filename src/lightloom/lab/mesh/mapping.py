"""Parallel mapping: make every block realise its target matrix, as well as its own loss can be searched down.

The published way (Gu et al., "L2ight", NeurIPS 2021): start from the phases that would be right on a perfect chip,
search U's and V's phases with the singular values held, then project: of all singular values, those that bring
U Sigma V nearest to the target are diag(U^T W V^T), whatever U and V have become.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.common.errors import RequestError
from lightloom.lab.mesh.calibration import drive, squared
from lightloom.lab.mesh.instrument import BlockSettings, Instrument
from lightloom.lab.mesh.readings import check_light, read_matrices
from lightloom.lab.zeroth_order import Method, Restart, SearchPlan, SearchResult, minimise, published_steps
from lightloom.physics import mesh


@dataclass(frozen=True)
class Mapped:
    """Settings of every block, and how near to the target they come."""

    settings: BlockSettings
    gain: Tensor
    """[blocks], electronic: a block realises gain times what the instrument measures."""
    distance: Tensor
    """[blocks], ||realised - target||^2 / ||target||^2 as measured; 0 targets give the plain ||realised||^2."""
    epochs: int
    calls: int
    """Calls of the instrument, all told."""
    history: tuple[float, ...]
    """Mean squared error of the best settings after each epoch, the start first."""


def published_plan(chip: MeshChip, method: Method = "zcd", *, epochs: int = 300) -> SearchPlan:
    """The published search: coordinates in order, 0.1 * 0.99^epoch.

    Args:
        chip: The design, whose drive has a least step.
        method: Which search.
        epochs: How many.
    """
    return SearchPlan(method, epochs, published_steps(method, chip.weight_bits), shuffle=False)


def published_restart(targets: Tensor) -> Restart:
    """Restart blocks whose distance is above 0.4 * 1.02^epoch (published relative to the realised matrix)."""
    return Restart(threshold=0.4 * squared(targets).mean((-2, -1)), growth=1.02)


def ideal_settings(chip: MeshChip, targets: Tensor) -> tuple[BlockSettings, Tensor]:
    """What a perfect chip would be programmed to.

    Args:
        chip: The design; its layout is universal.
        targets: [blocks, k, k].

    Returns:
        BlockSettings, with sigma signed and scaled to at most 1, and the gain [blocks] that scales it back.

    Raises:
        RequestError: The targets have another shape, or hold NaN or Inf; or the layout is not universal.
    """
    size = chip.block_size
    if targets.ndim != 3 or tuple(targets.shape[1:]) != (size, size):
        raise RequestError(
            f"Targets have shape {tuple(targets.shape)}; this chip maps blocks [blocks, {size}, {size}]."
        )
    if not torch.isfinite(targets).all():
        raise RequestError("The targets hold NaN or Inf: check the weights.")
    if chip.layout not in mesh.UNIVERSAL_LAYOUTS:
        raise RequestError(f"A {chip.layout} mesh has no decomposition: map onto a rectangle or a triangle.")
    wide = torch.complex128 if chip.field == "complex" else torch.float64
    u, sigma, v = torch.linalg.svd(targets.to(wide))
    u_made, v_made = mesh.decompose(u, layout=chip.layout), mesh.decompose(v, layout=chip.layout)
    u_phases = u_made.phases
    if u_made.signs is not None and v_made.signs is not None:
        u_phases = mesh.signs_to_input(u_phases, u_made.signs, chip.layout)
        sigma = sigma * u_made.signs * v_made.signs
    scaled, gain = _scale(sigma)
    return BlockSettings(u_phases, v_made.phases, scaled), gain


def parallel_mapping(
    instrument: Instrument,
    targets: Tensor,
    plan: SearchPlan | None = None,
    *,
    identity: BlockSettings | None = None,
    project: bool = True,
    after: Mapped | None = None,
    each_epoch: Callable[[Mapped], None] | None = None,
) -> Mapped:
    """Search the phases of every block for its target, one call per evaluation, then project sigma (4 or 5 calls).

    Args:
        instrument: The chip on the bench.
        targets: [blocks, k, k].
        plan: How to search; the published zeroth-order coordinate descent unless given.
        identity: Identity settings from a calibration: measure U and V through these pseudo-identities. None
            measures them exactly, as `measured_meshes` does.
        project: Whether to project the singular values at the end.
        after: Go on from this one, an earlier call with the same plan that ended early, before its projection.
        each_epoch: Told the best so far after each epoch.

    Returns:
        The best settings that were measured.

    Raises:
        RequestError: The targets do not fit the instrument.
        WorkError: The instrument fails, stays dark, or gives something else than finite matrices.
    """
    plan = plan or published_plan(instrument.chip)
    if len(targets) != instrument.blocks:
        raise RequestError(f"There are {len(targets)} targets for the {instrument.blocks} blocks of the instrument.")
    settings, gain = ideal_settings(instrument.chip, targets)
    if after is not None:
        settings, gain = after.settings, after.gain
    objective = MappingLoss(instrument, targets, settings.sigma, gain)
    before, first_call = 0 if after is None else after.calls, instrument.calls

    def mapped(result: SearchResult) -> Mapped:
        calls = before + instrument.calls - first_call
        settings = BlockSettings(*(part.contiguous() for part in objective.settings(result.phases)))
        return Mapped(settings, gain, result.loss / objective.norm, result.epochs, calls, result.history)

    best = mapped(
        minimise(
            objective,
            torch.cat([settings.u_phases, settings.v_phases], dim=1),
            plan,
            groups=2,
            first_epoch=0 if after is None else after.epochs,
            each_epoch=None if each_epoch is None else lambda so_far: each_epoch(mapped(so_far)),
        )
    )
    return project_sigma(instrument, targets, best, identity) if project else best


def map_all(
    instruments: Iterable[Instrument], targets: Iterable[Tensor], plan: SearchPlan | None = None
) -> list[Mapped]:
    """Blocks of different size stand on an instrument each; map them one after another.

    Args:
        instruments: The benches.
        targets: [blocks, k, k] for each of them.
        plan: How to search; None is the published way.
    """
    return [parallel_mapping(bench, matrices, plan) for bench, matrices in zip(instruments, targets, strict=True)]


class MappingLoss:
    """L = mean over i, j of |(g U Sigma V - W)_ij|^2 of every block, with Sigma and the gain g held fixed."""

    def __init__(self, instrument: Instrument, targets: Tensor, sigma: Tensor, gain: Tensor) -> None:
        self._instrument, self._sigma = instrument, sigma
        self._power, self._scaled = gain.square(), targets.double() / gain.view(-1, 1, 1)
        norm = squared(targets.double()).mean((1, 2))
        self.norm = torch.where(norm > 0, norm, 1.0)
        """[blocks]: loss over distance."""

    def settings(self, phases: Tensor) -> BlockSettings:
        """Instrument settings for `phases` [blocks, 2 n]: U's, then V's."""
        n = self._instrument.shifters
        return BlockSettings(phases[:, :n], phases[:, n:], self._sigma)

    def __call__(self, phases: Tensor, changed: Sequence[int] | None, /) -> Tensor:
        """Loss [blocks]; one call."""
        drive(self._instrument, self.settings(phases), changed)
        measured = read_matrices(self._instrument)
        if changed is None:  # now and then
            check_light(self._instrument.chip, measured, self._sigma)
        return self.of(measured)

    def of(self, measured: Tensor) -> Tensor:
        """Loss [blocks] of measured matrices [blocks, k, k]."""
        return self._power * squared(measured - self._scaled).mean((1, 2))


def project_sigma(
    instrument: Instrument, targets: Tensor, mapped: Mapped, identity: BlockSettings | None = None
) -> Mapped:
    """Optimal singular-value projection; a block keeps its old sigma where the new one measures no better.

    Args:
        instrument: The chip on the bench.
        targets: [blocks, k, k].
        mapped: Where to start.
        identity: As for `parallel_mapping`.
    """
    first_call = instrument.calls
    if identity is None:
        u, v = measured_meshes(instrument, mapped.settings)
    else:
        u, v = meshes_through_identity(instrument, mapped.settings, identity)
    projected = (u.mH @ targets.to(u.dtype) @ v.mH).diagonal(dim1=1, dim2=2).real
    sigma, gain = _scale(projected)
    objective = MappingLoss(instrument, targets, sigma, gain)
    instrument.program(mapped.settings._replace(sigma=sigma))
    distance = objective.of(read_matrices(instrument)) / objective.norm
    better = distance < mapped.distance
    best = torch.where(better.unsqueeze(-1), sigma, mapped.settings.sigma)
    return replace(
        mapped,
        settings=mapped.settings._replace(sigma=best),
        gain=torch.where(better, gain, mapped.gain),
        distance=torch.where(better, distance, mapped.distance),
        calls=mapped.calls + instrument.calls - first_call,
    )


def measured_meshes(instrument: Instrument, settings: BlockSettings) -> tuple[Tensor, Tensor]:
    """U and V [blocks, k, k] at these phases, exactly but for readout noise, up to (U D)(D V) with signs D; two calls.

    With all attenuators open the chip makes A = U V, with distinct sigma it makes B = U S V, and B A^T = U S U^T: its
    eigenvectors are U's columns, in the order of sigma, which need not be known well. The signs drop out of
    U diag(sigma) V. Insertion loss inside the meshes is not modelled.

    Args:
        instrument: The chip.
        settings: Whose phases the meshes are set to.
    """
    distinct = torch.linspace(-1, 1, instrument.size, dtype=torch.float64).expand(instrument.blocks, -1)
    instrument.program(settings._replace(sigma=torch.ones_like(distinct)))
    product = read_matrices(instrument)
    check_light(instrument.chip, product, torch.ones_like(distinct))
    instrument.program(settings._replace(sigma=distinct))
    similar = read_matrices(instrument) @ product.mH
    u = torch.linalg.eigh((similar + similar.mH) / 2)[1]
    return u, u.mH @ product


def meshes_through_identity(
    instrument: Instrument, settings: BlockSettings, identity: BlockSettings
) -> tuple[Tensor, Tensor]:
    """U I_V and I_U V [blocks, k, k], what the published way has instead of U and V; three calls.

    Both pseudo-identities have unknown signs; their product, which the third call measures, is what is needed, and is
    carried by the second result.

    Args:
        instrument: The chip.
        settings: Whose phases the meshes are set to.
        identity: Settings at which both meshes are pseudo-identities.
    """
    opened = torch.ones_like(settings.sigma)
    instrument.program(BlockSettings(settings.u_phases, identity.v_phases, opened))
    u = read_matrices(instrument)
    instrument.program(BlockSettings(identity.u_phases, settings.v_phases, opened))
    v = read_matrices(instrument)
    instrument.program(BlockSettings(identity.u_phases, identity.v_phases, opened))
    signs = torch.where(read_matrices(instrument).diagonal(dim1=1, dim2=2).real < 0, -1.0, 1.0)
    return u, signs.unsqueeze(-1) * v


def _scale(sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Sigma over its largest modulus, which is the gain; a block of zeros keeps a gain of 1."""
    largest = sigma.abs().amax(-1)
    gain = torch.where(largest > 0, largest, 1.0)
    return sigma / gain.unsqueeze(-1), gain
