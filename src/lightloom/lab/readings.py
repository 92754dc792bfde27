"""What an instrument gives is looked at before anything is computed from it: its kind, its shape, its values."""

from __future__ import annotations

import torch
from torch import Tensor

from lightloom.common.errors import WorkError


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
