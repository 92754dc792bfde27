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

from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lightloom.physics.pcm import level_kernels
from lightloom.physics.pcm.level_kernels import Layout, Terms
from lightloom.physics.pcm.quantise import Scale, apply_scale, fade, place_and_weigh, scale
from lightloom.physics.pcm.schedule import Schedule, natural, places
from lightloom.physics.pcm.writes import Start
from lightloom.physics.phases import straight_through

Reference = Literal["row_mean", "global_mean", "previous", "erased"]
Norm = Literal["l1", "l2"]

_STARTS = get_args(Start)


class Penalty(NamedTuple):
    """Which difference is penalised, and in which order the blocks of the matrix take their turns."""

    size: int
    """k."""
    groups: int = 1
    """Of rows of the matrix, each cut into blocks by itself."""
    reference: Reference = "row_mean"
    norm: Norm = "l2"
    start: Start = "erased"
    """What ``"previous"`` is at the first turn: erased level 0, repeat the last turn, alternate none at all."""
    rows: Tensor | None = None
    """int32 [A, k]: row of the matrix that a row of an array works for, -1 none. None, with `columns`: as they come."""
    columns: Tensor | None = None
    """int32 [A, 1 or k, Q, k]: column of the matrix in a slot at a turn, -1 none."""


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
    found, tangents = scale(matrix, magnitudes, gain), slopes(magnitudes.to(matrix.device))
    if level_kernels.usable(matrix):
        result: tuple[Tensor, ...] = _Write.apply(matrix, *found, tangents, aim, layout)  # type: ignore[no-untyped-call]
        return Written(*result)
    weight, levels = apply_scale(matrix, found)
    smooth = straight_through(levels.to(matrix.dtype), _slope(matrix, levels, found, tangents) * matrix)
    return Written(weight, levels, _mean(smooth, aim, layout) / _unit(len(found.limits), aim))


def penalty(matrix: Tensor, magnitudes: Tensor, aim: Penalty, gain: Tensor | None = None) -> Tensor:
    """Mean over all weights of the difference of their levels from a reference; see the head of this file.

    Arguments, errors: as `write`. With ``"previous"`` and ``"l1"``, the value times L and the number of weights is what
    one inference writes, in levels.
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


def _slope(matrix: Tensor, levels: Tensor, found: Scale, tangents: Tensor) -> Tensor:
    """How the smooth level grows with the matrix; constant to the gradient."""
    exact, gain = matrix.detach(), found.gain.to(matrix.dtype)
    offset, growth = _tangents(found, tangents, matrix.dtype)[:, levels.abs().int()]
    slope: Tensor = fade(exact, gain) / (offset + growth * (gain * torch.tanh(exact / gain)).abs())
    return slope


def _tangents(found: Scale, tangents: Tensor, dtype: torch.dtype) -> Tensor:
    """`slopes` as d |u| / d level = offset + growth |u|; of a matrix of zeros, any finite ones."""
    largest = torch.where(found.largest > 0, found.largest, 1)
    factors = torch.stack((largest, torch.ones_like(largest)))
    return (tangents * factors[:, None]).to(dtype)


def _unit(steps: int, aim: Penalty) -> int:
    """From differences of levels, squared for L2, to those of c."""
    return steps**2 if aim.norm == "l2" else steps


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
    for name, given, known in (
        ("reference", aim.reference, get_args(Reference)),
        ("norm", aim.norm, get_args(Norm)),
        ("start", aim.start, _STARTS),
    ):
        if given not in known:
            raise ValueError(f"the {name} of a write-aware penalty is one of {', '.join(known)}, not {given!r}")
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
    used = rows[rows >= 0].sort().values  # a row left out would have no gradient at all
    if not torch.equal(used, torch.arange(matrix.shape[0], dtype=torch.int32, device=rows.device)):
        raise ValueError(f"an order has each of the {matrix.shape[0]} rows of its matrix once, and -1 elsewhere")


def _check_found(found: int, matrix: Tensor) -> None:
    if found != matrix.numel():
        raise ValueError(
            f"an order has each of the {matrix.numel()} weights of its matrix once, got {found}; "
            "its `columns` name each column once per row, and -1 where a slot holds nothing"
        )


def _mean(signed: Tensor, aim: Penalty, layout: Layout) -> Tensor:
    """Mean difference of signed levels from their references, in torch."""
    index, real = places(Schedule(layout.rows, layout.columns), layout.width)
    cells = signed.flatten().index_select(0, index.flatten()).reshape(index.shape)
    _check_found(int(real.sum()), signed)
    difference = torch.where(real, cells - _reference(cells, real, aim), 0)
    terms = difference.square() if aim.norm == "l2" else difference.abs()
    return terms.sum() / signed.numel()


def _reference(cells: Tensor, real: Tensor, aim: Penalty) -> Tensor:
    if aim.reference == "erased":
        return torch.zeros_like(cells)
    if aim.reference == "previous":
        return _previous(cells, real, aim.start)
    over = (2,) if aim.reference == "row_mean" else (0, 2)
    total = torch.where(real, cells.detach(), 0).sum(over, keepdim=True)
    return total / real.sum(over, keepdim=True).clamp(min=1)


def _previous(cells: Tensor, real: Tensor, start: Start) -> Tensor:
    """What each cell held before: at its last turn with a weight for it."""
    turns = torch.arange(cells.shape[2], device=cells.device)[:, None]
    last = torch.where(real, turns, -1).cummax(2).values
    before = torch.cat((torch.full_like(last[:, :, :1], -1), last[:, :, :-1]), 2)
    if start == "repeat":
        before = torch.where(before >= 0, before, last[:, :, -1:])
    held = cells.gather(2, before.clamp(min=0))
    return torch.where(before >= 0, held, torch.zeros_like(cells) if start == "erased" else cells)


class _Write(torch.autograd.Function):
    """Weight, levels and penalty by the compiled kernels."""

    @staticmethod
    def forward(
        ctx: Any,
        matrix: Tensor,
        gain: Tensor,
        largest: Tensor,
        limits: Tensor,
        weights: Tensor,
        tangents: Tensor,
        aim: Penalty,
        layout: Layout,
    ) -> tuple[Tensor, Tensor, Tensor]:
        found = Scale(gain, largest, limits, weights)
        levels, weight = place_and_weigh(matrix, found)
        terms = Terms(aim.norm == "l2", _STARTS.index(aim.start), _levels_to_reach(levels, aim, layout, matrix), levels)
        total, seen = level_kernels.cost(layout, terms, matrix.dtype)
        _check_found(seen, matrix)
        ctx.share = 1 / (_unit(len(limits), aim) * matrix.numel())
        ctx.layout, ctx.terms, ctx.gain = layout, terms, float(gain)
        ctx.save_for_backward(matrix, _tangents(found, tangents, matrix.dtype))
        ctx.mark_non_differentiable(levels)
        ctx.set_materialize_grads(False)
        return weight, levels, (total * ctx.share).to(matrix.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, _: None, scaled: Tensor | None) -> tuple[Tensor | None, ...]:
        matrix, tangents = ctx.saved_tensors
        share = 0.0 if scaled is None else float(scaled) * ctx.share
        slope = level_kernels.pull(ctx.layout, ctx.terms, matrix, ctx.gain, share, grad, tangents)
        return slope, *[None] * 7


def _levels_to_reach(levels: Tensor, aim: Penalty, layout: Layout, matrix: Tensor) -> Tensor | None:
    """The references in levels, [A k or k, k]; None where it is what the cell held before."""
    if aim.reference == "previous":
        return None
    if aim.reference == "erased":
        return matrix.new_zeros(aim.size, aim.size)
    total, number = level_kernels.sums(layout, levels)
    if aim.reference == "global_mean":
        total, number = total.sum(0), number.sum(0)
    return (total.double() / number.clamp(min=1)).to(matrix.dtype)
