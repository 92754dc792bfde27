"""Map targets onto a chip that is known: compute the settings, look at what they give, correct, done."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lightloom.common.errors import RequestError
from lightloom.lab.mesh.identify import Identified, refine, settings_for_targets
from lightloom.lab.mesh.instrument import BlockSettings, Instrument


@dataclass(frozen=True)
class MappingResult:
    """Settings of every block, and how near to the target they should come."""

    settings: BlockSettings
    gain: Tensor
    """[blocks], electronic: a block realises gain times what the instrument measures."""
    distance: Tensor
    """[blocks], ||realised - target||^2 / ||target||^2 as the twin has it after the last look; 0 for a zero target."""
    known: Identified
    """The chip as it is known now: the looks at the mapped blocks were fitted as well."""
    calls: int
    """Looks at the mapped blocks; those that made the chip known are in `known.calls` as well."""


def map_targets(
    instrument: Instrument, identified: Identified, targets: Tensor, *, verify_calls: int = 2
) -> MappingResult:
    """Program every block to its target and correct it `verify_calls` times, one call each.

    A look is fitted together with everything measured before. So where reading is noisy, it is weighed by what it is
    worth, and a block is never chased after noise.

    Args:
        instrument: The chip; it is left programmed to the settings that are returned.
        identified: What is known of it.
        targets: [blocks, k, k], real, any scale.
        verify_calls: Calls to spend.

    Raises:
        RequestError: Targets have another shape or are not finite.
    """
    expected = (instrument.blocks, instrument.size, instrument.size)
    if tuple(targets.shape) != expected or not torch.isfinite(targets).all():
        raise RequestError(
            f"Targets of shape {tuple(targets.shape)}; this instrument maps finite ones of shape {expected}."
        )
    targets = targets.double()
    settings, gain = settings_for_targets(identified.twin, targets)
    for _ in range(verify_calls):
        identified = refine(instrument, identified, settings)
        settings, gain = settings_for_targets(identified.twin, targets, near=settings)
    instrument.program(settings)
    power = targets.square().sum((-2, -1))
    missed = (gain.view(-1, 1, 1) * identified.twin.matrices(settings) - targets).square().sum((-2, -1))
    return MappingResult(settings, gain, torch.where(power > 0, missed / power, 0.0), identified, verify_calls)
