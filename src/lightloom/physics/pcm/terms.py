"""The terms of the write-aware penalty of `lightloom.physics.pcm.penalty`, in torch and by the compiled kernels."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import Gradient, define, one_by_one
from lightloom.physics.execution import has_numbers
from lightloom.physics.pcm import level_kernels
from lightloom.physics.pcm.level_kernels import Layout, Terms
from lightloom.physics.pcm.quantise import Scale, apply_scale, bounded, place_and_weigh
from lightloom.physics.pcm.schedule import Schedule, places
from lightloom.physics.pcm.writes import Start
from lightloom.physics.rounding import straight_through

Reference = Literal["row_mean", "global_mean", "previous", "erased"]
Norm = Literal["l1", "l2"]

STARTS = get_args(Start)


class Penalty(NamedTuple):
    """Which difference is penalised, and in which order the blocks of the matrix take their turns."""

    size: int
    """k."""
    groups: int = 1
    """Groups of rows of the matrix, each cut into blocks by itself."""
    reference: Reference = "row_mean"
    norm: Norm = "l2"
    start: Start = "erased"
    """What ``"previous"`` is at the first turn: erased level 0, repeat the last turn, alternate none at all."""
    rows: Tensor | None = None
    """int32 [A, k]: row of the matrix that a row of an array works for, -1 none. None, with `columns`: as they come."""
    columns: Tensor | None = None
    """int32 [A, 1 or k, Q, k]: column of the matrix in a slot at a turn, -1 none."""


def written(
    matrix: Tensor, scaling: Scale, tangents: Tensor, aim: Penalty, layout: Layout
) -> tuple[Tensor, Tensor, Tensor]:
    """Weight, levels and penalty, in torch.

    Args:
        matrix: [groups * rows, columns] behind the levels.
        scaling: How the matrix is quantised.
        tangents: [2, L + 1], value and slope of the straight lines between levels.
        aim: The reference, and how the difference is counted.
        layout: Where each weight is in the order of writing.
    """
    weight, levels = apply_scale(matrix, scaling)
    smooth = straight_through(levels.to(matrix.dtype), _smooth(matrix, levels, scaling, tangents))
    return weight, levels, _mean(smooth, aim, layout) / _unit(len(scaling.limits), aim)


def _smooth(matrix: Tensor, levels: Tensor, scaling: Scale, tangents: Tensor) -> Tensor:
    """What grows as the smooth level does around each level, where it is 0: the integral of d u / (offset + growth u).

    The tangent is that of the level that was found, which is constant to the gradient.
    """
    u, signs = bounded(matrix, scaling.gain), torch.where(matrix.detach() < 0, -1, 1).to(matrix.dtype)
    offset, growth = _tangents(scaling, tangents, matrix.dtype)[:, levels.abs().int()]
    size = signs * u
    tangent, straight = offset + growth * size, growth == 0
    bent = torch.log(tangent / tangent.detach()) / torch.where(straight, 1, growth)
    return signs * torch.where(straight, (size - size.detach()) / torch.where(straight, offset, 1), bent)


def _tangents(scaling: Scale, tangents: Tensor, dtype: torch.dtype) -> Tensor:
    """`slopes` as d |u| / d level = offset + growth |u|; of a matrix of zeros, any finite ones."""
    largest = torch.where(scaling.largest > 0, scaling.largest, 1)
    factors = torch.stack((largest, torch.ones_like(largest)))
    return (tangents * factors[:, None]).to(dtype)


def _unit(steps: int, aim: Penalty) -> int:
    """Factor from differences of levels, squared for L2, to those of c."""
    return steps**2 if aim.norm == "l2" else steps


def _check_found(count: int, matrix: Tensor) -> None:
    if count != matrix.numel():
        raise ValueError(
            f"an order has each of the {matrix.numel()} weights of its matrix once, got {count}; "
            "its `columns` name each column once per row, and -1 where a slot holds nothing"
        )


def _mean(signed: Tensor, aim: Penalty, layout: Layout) -> Tensor:
    """Mean difference of signed levels from their references, in torch."""
    index, real = places(Schedule(layout.rows, layout.columns), layout.width)
    cells = signed.flatten().index_select(0, index.flatten()).reshape(index.shape)
    if has_numbers(real):
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
    levels = cells.gather(2, before.clamp(min=0))
    return torch.where(before >= 0, levels, torch.zeros_like(cells) if start == "erased" else cells)


_Outputs = tuple[Tensor, Tensor, Tensor]


def _run(
    matrix: Tensor,
    gain: Tensor,
    largest: Tensor,
    limits: Tensor,
    weights: Tensor,
    tangents: Tensor,
    *order: Any,
) -> _Outputs:
    scaling, (aim, layout) = Scale(gain, largest, limits, weights), _asked(matrix, *order)
    if not level_kernels.usable(matrix):
        return written(matrix, scaling, tangents, aim, layout)
    levels, weight = place_and_weigh(matrix, scaling)
    total, count = level_kernels.cost(layout, _terms(levels, aim, layout, matrix), matrix.dtype)
    _check_found(count, matrix)
    share = 1 / (_unit(len(limits), aim) * matrix.numel())
    return weight, levels, (total * share).to(matrix.dtype)


def _plain(
    matrix: Tensor,
    gain: Tensor,
    largest: Tensor,
    limits: Tensor,
    weights: Tensor,
    tangents: Tensor,
    *order: Any,
) -> _Outputs:
    scaling, (aim, layout) = Scale(gain, largest, limits, weights), _asked(matrix, *order)
    return written(matrix, scaling, tangents, aim, layout)


def _fake(matrix: Tensor, *_: Any) -> _Outputs:
    levels = matrix.new_empty(matrix.shape, dtype=torch.int8)
    return matrix.new_empty(matrix.shape), levels, matrix.new_empty(())


def _pull(
    inputs: tuple[Any, ...],
    outputs: tuple[Tensor, ...] | None,
    grads: tuple[Tensor | None, ...],
    needs: tuple[bool, ...],
) -> tuple[Tensor | None, ...] | None:
    """None where the kernel cannot: the backend was changed, or torch traces."""
    assert outputs is not None  # `keeps_output`
    matrix, gain, largest, limits, weights, tangents, *order = inputs
    if not level_kernels.usable(matrix):
        return None
    aim, layout = _asked(matrix, *order)
    scaled = grads[2]
    share = 0.0 if scaled is None else float(scaled) / (_unit(len(limits), aim) * matrix.numel())
    terms = _terms(outputs[1], aim, layout, matrix)
    steepness = _tangents(Scale(gain, largest, limits, weights), tangents, matrix.dtype)
    return (level_kernels.pull(layout, terms, matrix, float(gain), share, grads[0], steepness),)


write = define(
    "pcm_write(Tensor matrix, Tensor gain, Tensor largest, Tensor limits, Tensor weights, Tensor tangents, "
    "Tensor rows, Tensor columns, bool natural, str reference, str norm, str start) "
    "-> (Tensor weight, Tensor levels, Tensor penalty)",
    _run,
    _fake,
    one_by_one,
    Gradient(_plain, _pull, keeps_output=True),
)


def _asked(
    matrix: Tensor, rows: Tensor, columns: Tensor, natural: bool, reference: Reference, norm: Norm, start: Start
) -> tuple[Penalty, Layout]:
    """Penalty and layout again, of what the operator was told."""
    aim = Penalty(rows.shape[1], reference=reference, norm=norm, start=start)
    return aim, Layout(rows, columns, natural, matrix.shape[1])


def _terms(levels: Tensor, aim: Penalty, layout: Layout, matrix: Tensor) -> Terms:
    reach = _levels_to_reach(levels, aim, layout, matrix)
    return Terms(aim.norm == "l2", STARTS.index(aim.start), reach, levels)


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
