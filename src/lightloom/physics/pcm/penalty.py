"""Write-aware training: a loss that pulls each weight to the level that its cell holds already.

Each array of k x k pairs takes Q blocks of the matrix in turn, and every step of level between one turn and the next
is a write. The loss is the mean, over all weights, of (c - reference)^2 or |c - reference| with c = s / L the signed
level. Forwards c is the level itself; backwards it has the slope of levels that pass smoothly into each other
(`slopes`).

References (Zhu et al., ELight, ASP-DAC 2022, trained with the first; "neighbour" there is `previous` here):

* ``"row_mean"``: mean of c over the turns of the same cell;
* ``"global_mean"``: mean over the turns of the cells at the same place in all arrays;
* ``"previous"``: what the cell held before: the sum is then what the schedule writes, and the gradient goes to both;
* ``"erased"``: level 0.

The means are constants to the gradient.
"""

from __future__ import annotations

from typing import NamedTuple, get_args

import torch
from torch import Tensor

from lightloom.physics.execution import has_numbers
from lightloom.physics.pcm import level_kernels, terms
from lightloom.physics.pcm.level_kernels import Layout
from lightloom.physics.pcm.quantise import scale
from lightloom.physics.pcm.schedule import Schedule, natural
from lightloom.physics.pcm.terms import STARTS, Norm, Penalty, Reference

__all__ = ["Norm", "Penalty", "Reference", "Written", "penalty", "slopes", "write"]


class Written(NamedTuple):
    """A matrix as it is written, and what write-aware training has to say to it."""

    weight: Tensor
    """Shaped as the matrix, of its dtype."""
    levels: Tensor
    """int8, same shape: signed levels."""
    penalty: Tensor
    """[], of the matrix's dtype."""


def write(matrix: Tensor, magnitudes: Tensor, aim: Penalty, gain: Tensor | None = None) -> Written:
    """`quantise.quantise` and `penalty` in one, which finds the levels once.

    Args:
        matrix: [groups * rows, columns], real.
        magnitudes: [L + 1] as `levels.magnitudes` gives them.
        aim: The penalty.
        gain: [], as in `quantise.quantise`.

    Raises:
        ValueError: The penalty is none of those known, or its order does not fit the matrix.
    """
    layout = _layout(matrix, aim)
    scaling, tangents = scale(matrix, magnitudes, gain), slopes(magnitudes.to(matrix.device))
    if level_kernels.usable(matrix):
        order = layout.rows, layout.columns, layout.natural
        return Written(*terms.write(matrix, *scaling, tangents, *order, aim.reference, aim.norm, aim.start))
    return Written(*terms.written(matrix, scaling, tangents, aim, layout))


def penalty(matrix: Tensor, magnitudes: Tensor, aim: Penalty, gain: Tensor | None = None) -> Tensor:
    """Mean over all weights of the difference of their levels from a reference; see the head of this file.

    Arguments, errors: as `write`. With ``"previous"`` and ``"l1"``, the value times L and the number of weights is what
    one inference writes, in levels.

    Args:
        matrix: [groups * rows, columns] behind the levels.
        magnitudes: [L + 1], of each level.
        aim: The reference, and how the difference is counted.
        gain: Scalar g of u = g tanh(matrix / g).
    """
    return write(matrix, magnitudes, aim, gain).penalty


def slopes(magnitudes: Tensor) -> Tensor:
    """Around each level, d x / d s = offset + growth x: how the weight x (in units of the largest) passes smoothly on.

    Through the magnitudes of levels s - 1, s and s + 1 goes one geometric sequence x = p q^s - r, whose slope
    log(q) (x + r) is linear in x. Levels of base^n are such a sequence as a whole, and d s / d x is the published
    (1 - r) / ((x (1 - r) + r) (-log base)) with r = base^L. Beyond both ends the sequence goes on; two levels alone
    have a straight line through them.

    Args:
        magnitudes: [L + 1].

    Returns:
        [2, L + 1] float64: offsets, growths.
    """
    exact = magnitudes.double()
    gaps = exact.diff()
    first, last = (gaps[:1], gaps[-1:]) if len(gaps) == 1 else (gaps[:1] ** 2 / gaps[1], gaps[-1:] ** 2 / gaps[-2])
    below, above = torch.cat((first, gaps)), torch.cat((gaps, last))
    excess = above / below - 1
    growth = torch.log1p(excess)
    tangent = above * torch.where(excess == 0, 1, growth / torch.where(excess == 0, 1, excess))
    return torch.stack((tangent - growth * exact, growth))


def _layout(matrix: Tensor, aim: Penalty) -> Layout:
    _check(matrix, aim)
    rows, width = matrix.shape[0] // aim.groups, matrix.shape[1]
    plain = natural(aim.groups, rows, width, aim.size, device=matrix.device)
    if aim.rows is None or aim.columns is None:
        return Layout(*plain, True, width)
    _check_order(aim.rows, aim.columns, plain, matrix)
    rows_there, columns_there = (tensor.to(matrix.device).contiguous() for tensor in (aim.rows, aim.columns))
    return Layout(rows_there, columns_there, False, width)


def _check(matrix: Tensor, aim: Penalty) -> None:
    for name, option, choices in (
        ("reference", aim.reference, get_args(Reference)),
        ("norm", aim.norm, get_args(Norm)),
        ("start", aim.start, STARTS),
    ):
        if option not in choices:
            raise ValueError(f"the {name} of a write-aware penalty is one of {', '.join(choices)}, not {option!r}")
    if matrix.ndim != 2 or aim.size < 1 or aim.groups < 1 or matrix.shape[0] % aim.groups:
        raise ValueError(
            f"a penalty needs a matrix [groups * rows, columns] and blocks of 1 or more, got the shape "
            f"{list(matrix.shape)}, {aim.groups} groups and blocks of {aim.size}"
        )
    if (aim.rows is None) != (aim.columns is None):
        raise ValueError("an order has `rows` and `columns`: give both, or neither for the order as it comes")


def _check_order(rows: Tensor, columns: Tensor, plain: Schedule, matrix: Tensor) -> None:
    arrays, _, turns, size = plain.columns.shape
    shapes = {plain.columns.shape, torch.Size((arrays, size, turns, size))}
    typed = rows.dtype == columns.dtype == torch.int32
    if not typed or rows.shape != plain.rows.shape or columns.shape not in shapes:
        raise ValueError(
            f"the order of a matrix {list(matrix.shape)} is int32, rows [{arrays}, {size}] and columns "
            f"[{arrays}, 1 or {size}, {turns}, {size}], got {rows.dtype} {list(rows.shape)} and {columns.dtype} "
            f"{list(columns.shape)}; make it for this matrix and block size"
        )
    if not has_numbers(rows):
        return
    used = rows[rows >= 0].sort().values  # a row left out would have no gradient at all
    if not torch.equal(used, torch.arange(matrix.shape[0], dtype=torch.int32, device=rows.device)):
        raise ValueError(f"an order has each of the {matrix.shape[0]} rows of its matrix once, and -1 elsewhere")
