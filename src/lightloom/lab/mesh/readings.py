"""What an instrument with meshes gives is looked at before anything is computed from it."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.common.errors import WorkError
from lightloom.lab.mesh.instrument import Instrument
from lightloom.lab.readings import checked
from lightloom.physics import mesh

_DARK = 0.01
"""Share of the power that must arrive at least: 20 dB of loss that the design does not know of is a fault."""


def read_matrices(instrument: Instrument) -> Tensor:
    """The matrices [blocks, k, k] that the blocks make now, one call, if they can be ones.

    Raises:
        ReadingError: As `checked`.
    """
    expected = (instrument.blocks, instrument.size, instrument.size)
    return checked(instrument.matrices(), expected, is_complex=instrument.chip.field == "complex")


def check_light(chip: MeshChip, matrices: Tensor, sigma: Tensor) -> None:
    """Refuse blocks that stay dark, of which no setting is better than another.

    Args:
        chip: The design, whose loss is counted in.
        matrices: [blocks, k, k] as measured.
        sigma: [blocks, k] that the attenuators were asked for.

    Raises:
        WorkError: Less than a hundredth of the light that should arrive at the detectors of some block does.
    """
    power = torch.linalg.matrix_norm(matrices).square()
    dark = (power < _DARK * _transmission(chip) * sigma.square().sum(-1)).nonzero().flatten().tolist()
    if dark:
        numbers = ", ".join(map(str, dark[:8])) + (", ..." if len(dark) > 8 else "")
        raise WorkError(
            f"Hardly any light arrives from {len(dark)} of {len(matrices)} blocks ({numbers}), with their attenuators "
            "open. Check the laser, the detectors and the scale of what they show: light that comes out whole reads 1."
        )


@lru_cache(maxsize=32)
def _transmission(chip: MeshChip) -> float:
    """Share of the power that passes two meshes of this design."""
    if not chip.insertion_loss_db:
        return 1.0
    straight = torch.zeros(mesh.phase_count(chip.block_size, chip.layout, chip.field), dtype=torch.float64)
    matrix = mesh.build(straight, chip.block_size, layout=chip.layout, field=chip.field, loss_db=chip.insertion_loss_db)
    return float(matrix.abs().square().sum() / chip.block_size) ** 2
