"""Light from one plane to the next, and fields on smaller and larger grids."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad as _pad

from lightloom.physics.diffraction.grid import size
from lightloom.physics.diffraction.guard import say
from lightloom.physics.diffraction.sampling import (
    COARSE,
    Sampling,
    edge_growth,
    of_waves,
    problems,
    reaches,
    samples_for,
)
from lightloom.physics.diffraction.transfer import TransferFunction, displacement
from lightloom.physics.execution import has_numbers


def propagate(field: Tensor, transfer: Tensor) -> Tensor:
    """The field behind free space.

    A transfer function of `transfer` knows its way: where its grid is too small for the light of this field, or the
    paraxial form not valid for its angles, it says so once (a `SamplingWarning`, see `sampling`), or refuses, as its
    `check` was set. A tensor of your own is applied as it is, and so is all while a program is recorded or batched.

    Args:
        field: [..., rows, columns], complex, or real for light of phase 0 and pi.
        transfer: [rows, columns] of `transfer`, on the device of the field; used in the field's precision.

    Returns:
        Complex, shaped as `field`.

    Raises:
        ValueError: The sizes differ, or the light is refused.
    """
    if field.shape[-2:] != transfer.shape[-2:]:
        raise ValueError(
            f"a field of {size(field)} samples and a transfer function of {size(transfer)}; pad the field to the "
            "grid, or build the transfer function for the field's size"
        )
    spectrum = torch.fft.fft2(field)
    there: Tensor = torch.fft.ifft2(spectrum * transfer.to(spectrum.dtype))
    if isinstance(transfer, TransferFunction) and transfer.check != "ignore" and has_numbers(field):
        _look(field, spectrum, there, transfer)
    return there


def shift(field: Tensor, dy: float | Tensor, dx: float | Tensor) -> Tensor:
    """A field moved by (dy, dx) samples towards larger indices, by its waves: exact, and no light is lost.

    It turns around the edges. A misaligned mask is rather seen by moved light (`misalign`): between the samples of a
    mask that changes from one to the next, its waves overshoot and would amplify.

    Args:
        field: [..., rows, columns], complex or real.
        dy: Along the last dimension but one; a tensor [] may carry a gradient.
        dx: Along the last dimension.

    Returns:
        Complex, shaped as `field`.
    """
    ramp = displacement(field.shape[-2], field.shape[-1], dy, dx)
    return propagate(field, ramp.to(field.device))


def pad(x: Tensor, rows: int, columns: int, value: float = 0.0) -> Tensor:
    """Set [..., h, w] into a larger grid so that sample (h//2, w//2) comes to (rows//2, columns//2).

    Args:
        x: Real or complex.
        rows: At least h.
        columns: At least w.
        value: What stands around it.

    Raises:
        ValueError: `x` is larger than the grid.
    """
    top, left = _corner((x.shape[-2], x.shape[-1]), (rows, columns))
    below, right = rows - top - x.shape[-2], columns - left - x.shape[-1]
    return _pad(x, (left, right, top, below), value=value)


def crop(x: Tensor, h: int, w: int) -> Tensor:
    """Take the h x w samples out of [..., rows, columns] that `pad` has put there; a view.

    Args:
        x: [..., rows, columns].
        h: Rows to take.
        w: Columns to take.

    Raises:
        ValueError: `x` is smaller than that.
    """
    top, left = _corner((h, w), (x.shape[-2], x.shape[-1]))
    return x[..., top : top + h, left : left + w]


@torch.no_grad()
def _look(field: Tensor, spectrum: Tensor, there: Tensor, way: TransferFunction) -> None:
    """Say, or refuse, what the grid of a way does to this light."""
    grid, z = way.grid, float(torch.as_tensor(way.distance).detach())
    if way.reach is None or way.reach.reach.device != field.device:
        way.reach = reaches(grid, z, way.method, field.device)
    coarse, paraxial = of_waves(spectrum, way.reach)
    samples = samples_for(spectrum, way.reach, max(grid[:2])) if coarse > COARSE else max(grid[:2])
    messages = problems(Sampling(coarse, samples, paraxial, edge_growth(field, there), math.nan), grid, z, way.method)
    say(messages, way.check, 3)  # `no_grad` is a call, too
    if messages:
        way.check = "ignore"  # once is enough


def _corner(inner: tuple[int, int], outer: tuple[int, int]) -> tuple[int, int]:
    (h, w), (rows, columns) = inner, outer
    if h > rows or w > columns:
        raise ValueError(
            f"{h} x {w} samples do not fit on a grid of {rows} x {columns}; take a grid of {max(h, rows)} x "
            f"{max(w, columns)} or more, or a smaller map"
        )
    return rows // 2 - h // 2, columns // 2 - w // 2
