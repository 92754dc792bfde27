"""Identity calibration: find the phases at which both meshes of every block are a signed identity.

Neither mesh can be seen alone. The published way (Gu et al., "L2ight", NeurIPS 2021) sets distinct singular values
Sigma_0 between them and undoes them at the input: U Sigma_0 V Sigma_0^-1 = I holds where U and V are signed identities,
and the mean squared deviation from it is searched to zero. What remains of the phases' errors are the pseudo-identities
I_U and I_V.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.lab.mesh.instrument import BlockSettings, Instrument
from lightloom.lab.mesh.readings import check_light, read_matrices
from lightloom.lab.zeroth_order import Method, Restart, SearchPlan, SearchResult, minimise, published_steps


@dataclass(frozen=True)
class Calibrated:
    """Identity settings of every block."""

    settings: BlockSettings
    """Phases of the pseudo-identities; sigma as it was during the search."""
    loss: Tensor
    """[blocks], measured there."""
    epochs: int
    calls: int
    """Calls of the instrument, all told."""
    history: tuple[float, ...]
    """Mean loss of the best settings after each epoch, the start first."""


def published_plan(chip: MeshChip, method: Method = "zcd", *, epochs: int = 400, adaptive: bool = False) -> SearchPlan:
    """The published search: random order, 0.1 * 0.99^epoch; `adaptive` restarts blocks whose loss is above 0.09.

    Args:
        chip: The design, whose drive has a least step.
        method: Which search.
        epochs: How many.
        adaptive: Whether blocks whose loss stays high are restarted.
    """
    restart = Restart(threshold=0.09) if adaptive else None
    return SearchPlan(method, epochs, published_steps(method, chip.weight_bits), restart=restart)


def identity_calibration(
    instrument: Instrument,
    plan: SearchPlan | None = None,
    *,
    after: Calibrated | None = None,
    each_epoch: Callable[[Calibrated], None] | None = None,
) -> Calibrated:
    """Search the phases of both meshes for signed identities, one call per evaluation, from phases of zero.

    Args:
        instrument: The chip on the bench.
        plan: How to search; the published zeroth-order coordinate descent unless given.
        after: Go on from this one, an earlier call with the same plan that ended early. (The momentum of `zgd` and
            the schedules of restarted blocks begin anew.)
        each_epoch: Told the best so far after each epoch.

    Returns:
        The best settings that were measured; the instrument stands where the search ended.

    Raises:
        WorkError: The instrument fails, stays dark, or gives something else than finite matrices.
    """
    plan = plan or published_plan(instrument.chip)
    objective = IdentityLoss(instrument)
    before = 0 if after is None else after.calls
    first_call = instrument.calls

    def calibrated(result: SearchResult) -> Calibrated:
        settings = BlockSettings(*(part.contiguous() for part in objective.settings(result.phases)))
        calls = before + instrument.calls - first_call
        return Calibrated(settings, result.loss, result.epochs, calls, result.history)

    start = torch.zeros(instrument.blocks, 2 * instrument.shifters, dtype=torch.float64)
    if after is not None:
        start = torch.cat([after.settings.u_phases, after.settings.v_phases], dim=1)
    result = minimise(
        objective,
        start,
        plan,
        groups=2,
        first_epoch=0 if after is None else after.epochs,
        each_epoch=None if each_epoch is None else lambda so_far: each_epoch(calibrated(so_far)),
    )
    return calibrated(result)


def calibrate_all(instruments: Iterable[Instrument], plan: SearchPlan | None = None) -> list[Calibrated]:
    """Blocks of different size stand on an instrument each; calibrate them one after another.

    Args:
        instruments: The benches.
        plan: How to search; None is the published way.
    """
    return [identity_calibration(instrument, plan) for instrument in instruments]


class IdentityLoss:
    """L = mean over i, j of |(U Sigma_0 V Sigma_0^-1 - I)_ij|^2 of every block, with Sigma_0 = 0.1 ... 1.

    Light of amplitude 1 goes in and the outputs are divided by Sigma_0: up to readout noise the same as the published
    inputs Sigma_0^-1, whose amplitudes reach 10.
    """

    def __init__(self, instrument: Instrument) -> None:
        size = instrument.size
        self._instrument = instrument
        self._sigma = torch.linspace(0.1, 1, size, dtype=torch.float64)
        self._target = torch.diag(self._sigma)
        self._weights = (1 / (size * self._sigma).square()).expand(size, size).reshape(-1)

    def settings(self, phases: Tensor) -> BlockSettings:
        """Instrument settings for `phases` [blocks, 2 n]: U's, then V's."""
        n = self._instrument.shifters
        return BlockSettings(phases[:, :n], phases[:, n:], self._sigma.expand(len(phases), -1))

    def __call__(self, phases: Tensor, changed: Sequence[int] | None, /) -> Tensor:
        """Loss [blocks]; one call."""
        settings = self.settings(phases)
        drive(self._instrument, settings, changed)
        measured = read_matrices(self._instrument)
        if changed is None:  # now and then
            check_light(self._instrument.chip, measured, settings.sigma)
        return squared(measured.sub_(self._target)).flatten(1) @ self._weights  # what was read is ours to change


def drive(instrument: Instrument, settings: BlockSettings, changed: Sequence[int] | None) -> None:
    """Program `settings`, of whose phases, U's and then V's, only `changed` may differ from the last; None is any.

    Args:
        instrument: The chip.
        settings: What it is to be programmed to.
        changed: Indices of the phases that may differ; None is any.
    """
    if changed is None:
        instrument.program(settings)
        return
    n = instrument.shifters
    u_changed, v_changed = [i for i in changed if i < n], [i - n for i in changed if i >= n]
    instrument.reprogram(settings, u_changed, v_changed)


def squared(values: Tensor) -> Tensor:
    """|x|^2, real."""
    return values.real.square() + values.imag.square() if values.is_complex() else values.square()
