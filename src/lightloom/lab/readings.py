"""What an instrument gives is looked at before anything is computed from it: its kind, its shape, its values."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.common.errors import WorkError
from lightloom.lab.instrument import Instrument
from lightloom.physics import mesh

_DARK = 0.01
"""Share of the power that must arrive at least: 20 dB of loss that the design does not know of is a fault."""


class ReadingError(WorkError):
    """An instrument gave something else than finite outputs of the shape that was asked for."""


def checked(outputs: Tensor, expected: tuple[int, ...], *, is_complex: bool) -> Tensor:
    """The outputs in double precision, if they can be ones.

    Args:
        outputs: What an instrument gave.
        expected: Their shape.
        is_complex: Whether the instrument measures complex amplitudes.

    Raises:
        ReadingError: They are no tensor, have another type or shape, or are not all finite.
    """
    if not isinstance(outputs, Tensor):
        raise ReadingError(f"the instrument gave a {type(outputs).__name__}; expected a tensor of shape {expected}")
    if not (outputs.is_floating_point() or (is_complex and outputs.is_complex())):
        kind = "complex or real" if is_complex else "real"
        raise ReadingError(f"outputs are {outputs.dtype}; expected {kind} floating-point numbers")
    if tuple(outputs.shape) != expected:
        raise ReadingError(f"outputs have shape {tuple(outputs.shape)}; expected {expected}")
    bad = outputs.numel() - int(torch.isfinite(outputs).sum())
    if bad:
        raise ReadingError(f"{bad} of {outputs.numel()} outputs are NaN or Inf, not finite")
    return outputs.detach().cpu().to(torch.complex128 if is_complex else torch.float64)


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
        named = ", ".join(map(str, dark[:8])) + (", ..." if len(dark) > 8 else "")
        raise WorkError(
            f"Hardly any light arrives from {len(dark)} of {len(matrices)} blocks ({named}), with their attenuators "
            "open. Check the laser, the detectors and the scale of what they show: light that comes out whole reads 1."
        )


@lru_cache(maxsize=32)
def _transmission(chip: MeshChip) -> float:
    """Share of the power that passes two meshes of this design."""
    if not chip.insertion_loss_db:
        return 1.0
    straight = torch.zeros(mesh.phase_count(chip.block_size, chip.layout, chip.field), dtype=torch.float64)
    made = mesh.build(straight, chip.block_size, layout=chip.layout, field=chip.field, loss_db=chip.insertion_loss_db)
    return float(made.abs().square().sum() / chip.block_size) ** 2
