"""The order in which a universal mesh nulls a matrix, and the torch way to follow it, on any device.

M is undone rotation by rotation until a diagonal is left. From the right, M <- M T^-1 mixes two columns
and nulls an element of the left one; from the left, M <- T M mixes two rows and nulls an element of the lower
one.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lightloom.physics.mesh.layouts import Layout, wiring

VANISHING = 1e-290
"""A squared modulus below this has lost digits to underflow: the element counts as zero already."""


class Stage(NamedTuple):
    """MZIs of one column that can be nulled at once, top to bottom."""

    first: int
    """Index of the top one in phase order; the others follow."""
    start: int
    """Upper waveguide of the first MZI; the others follow, two further each."""
    nulled: tuple[int, ...]
    """Row (from the right) or column (from the left) of the element that each one nulls."""
    left: bool
    """Whether the rotation is applied from the left."""


class Nulled(NamedTuple):
    """What nulling leaves."""

    phases: Tensor
    """[blocks, phase_count], radians in [0, 2 pi), in the dtype that was asked for."""
    signs: Tensor | None
    """[blocks, k], float64: the diagonal of a real mesh; None for a complex one."""
    deviation: Tensor
    """[blocks]: largest difference between what remains and a diagonal of unit moduli."""


@lru_cache(maxsize=64)
def nulling_order(size: int, layout: Layout) -> tuple[Stage, ...]:
    """The MZIs that null each element, in order.

    Triangle: row k - 1 - d is nulled from left to right, by MZI (d, r) in column r + 2d. All of a column act
    on disjoint waveguides and need only columns before theirs, so they go at once: 2k - 3 stages.

    Rectangle: antidiagonal d is nulled from the right (even d) or the left (odd d). Each rotation needs the
    one before, and a diagonal's first needs the last of the diagonal before, since its elements lie in the
    very corner that one turned: a strict chain of k(k - 1)/2 stages of one MZI.

    Args:
        size: Waveguides k.
        layout: A universal layout.
    """
    columns = wiring(size, layout).columns
    if layout == "triangle":
        return tuple(
            Stage(
                column.first,
                column.start,
                tuple(size - 1 - (number - row) // 2 for row in column.upper_waveguides()),
                left=False,
            )
            for number, column in enumerate(columns)
        )
    stages = []
    for diagonal in range(size - 1):
        left = diagonal % 2 == 1
        for step in range(diagonal + 1):
            upper = size - 2 - diagonal + step if left else diagonal - step
            column = columns[size - 1 - step if left else step]
            nulled = step if left else size - 1 - step
            stages.append(Stage(column.first + (upper - column.start) // 2, upper, (nulled,), left))
    return tuple(stages)


@lru_cache(maxsize=4)
def full_turn(dtype: torch.dtype) -> float:
    """The angle from which on `dtype` rounds to a full turn: it then means zero, to the same rounding."""
    if dtype == torch.float64:
        return 2 * math.pi
    turn = np.float32(2 * math.pi)
    return (float(turn) + float(np.nextafter(turn, np.float32(0)))) / 2


def null(matrices: Tensor, layout: Layout, dtype: torch.dtype) -> Nulled:
    """Follow `nulling_order` on every block at once.

    Args:
        matrices: [blocks, k, k], float64 or complex128; left as it is.
        layout: A universal layout.
        dtype: float32 or float64, of the phases.

    Returns:
        Phases, signs, and how far the matrices were from orthogonal or unitary.
    """
    work = _Work(matrices.clone(memory_format=torch.contiguous_format), layout)
    order = nulling_order(work.size, layout)
    for stage in order:
        work.null(stage)
    deviation = work.deviation()
    signs = work.pass_diagonal([stage for stage in order if stage.left])
    return Nulled(work.phases(dtype), signs, deviation)


class _Work:
    """The matrices on their way to a diagonal, and the rotations found so far."""

    def __init__(self, state: Tensor, layout: Layout) -> None:
        blocks, self.size, _ = state.shape
        self.state = state
        self.columns = wiring(self.size, layout).columns
        self.mzis = wiring(self.size, layout).mzis
        real = torch.float64
        self.cosine = torch.empty(blocks, self.mzis, dtype=real, device=state.device)
        self.sine = torch.empty_like(self.cosine)
        self.phasor = torch.empty_like(self.cosine, dtype=state.dtype)  # e^{i phi} of a complex mesh
        self.diagonal = state.new_empty(0)  # e^{i output phase}, once known, of a complex mesh

    def null(self, stage: Stage) -> None:
        """Find the rotations of one stage, apply them and note them."""
        count = len(stage.nulled)
        ends = slice(stage.start, stage.start + 2 * count)
        # Rows below the nulled ones, and columns before, are zero on both waveguides already: leaving them out saves
        # half the work. The nulled elements of one stage lie on a diagonal.
        if stage.left:
            lines, top = self.state[:, ends, stage.nulled[0] :].transpose(1, 2), 0
        else:
            lines, top = self.state[:, : stage.nulled[-1] + 1, ends], stage.nulled[0]
        first, second = lines[..., 0::2], lines[..., 1::2]
        pair = [half[:, top : top + count].diagonal(dim1=1, dim2=2) for half in (first, second)]
        cosine, sine, phasor = _rotation(pair[0], pair[1], stage.left)
        here = slice(stage.first, stage.first + count)
        self.cosine[:, here], self.sine[:, here] = cosine, sine
        if phasor is not None:
            self.phasor[:, here] = phasor
            first.mul_((phasor if stage.left else phasor.conj()).unsqueeze(1))
        cosine, sine = cosine.unsqueeze(1), sine.unsqueeze(1)
        turned = cosine * first - sine * second
        second.mul_(cosine).add_(sine * first)
        first.copy_(turned)

    def deviation(self) -> Tensor:
        """How far the state is from a diagonal of unit moduli, [blocks]; NaN where it holds one."""
        unit = torch.eye(self.size, dtype=torch.float64, device=self.state.device)
        # Below the diagonal everything was nulled, to rounding: what is above says the rest.
        return (self.state.triu().abs() - unit).abs().flatten(1).amax(1)

    def pass_diagonal(self, left: list[Stage]) -> Tensor | None:
        """Bring the left rotations to the other side of the diagonal; return the signs of a real one."""
        diagonal = self.state.diagonal(dim1=1, dim2=2).clone()
        if self.state.is_complex():
            self.diagonal = torch.where(diagonal.abs() > 0, diagonal / diagonal.abs(), 1)
            self._commute(self.diagonal, left)
            return None
        signs = torch.where(diagonal < 0, -1.0, 1.0).to(diagonal)
        at = torch.tensor([stage.first for stage in left], dtype=torch.int64, device=signs.device)
        upper = torch.tensor([stage.start for stage in left], dtype=torch.int64, device=signs.device)
        # R(-theta) D = D R(-theta d_a d_b): the diagonal stays.
        self.sine[:, at] *= -signs[:, upper] * signs[:, upper + 1]
        return signs

    def phases(self, dtype: torch.dtype) -> Tensor:
        """Every phase in [0, 2 pi), [blocks, phase_count]."""
        angle = torch.atan2(self.sine, self.cosine)
        if self.state.is_complex():
            angle = torch.cat([angle, self.phasor.angle(), self.diagonal.angle()], dim=1)
        turned = torch.where(angle < 0, angle + 2 * math.pi, angle)
        return turned.masked_fill_(turned >= full_turn(dtype), 0.0).to(dtype)

    def _commute(self, diagonal: Tensor, left: list[Stage]) -> None:
        """T^-1 D = D' T', innermost column first, in place.

        With D = diag(e^{i alpha}, e^{i beta}): theta' = theta, phi' = alpha - beta + pi, alpha' = beta - phi + pi and
        beta' = beta; but theta = 0 changes nothing, and theta = pi/2 only swaps: phi' = 0, alpha' = beta + pi, beta' =
        alpha + pi. The left MZIs of a column are its lowest, one after another.
        """
        for column in self.columns:
            ours = [stage for stage in left if column.first <= stage.first < column.first + column.count]
            if not ours:
                continue
            here = slice(min(stage.first for stage in ours), column.first + column.count)
            start = min(stage.start for stage in ours)
            alpha = diagonal[:, start : start + 2 * len(ours) : 2]
            beta = diagonal[:, start + 1 : start + 2 * len(ours) : 2]
            straight, crossed = self.sine[:, here] == 0, self.cosine[:, here] == 0
            passed = torch.where(straight, alpha, -beta * self.phasor[:, here].conj())
            self.phasor[:, here] = torch.where(straight | crossed, 1, -alpha * beta.conj())
            beta.copy_(torch.where(crossed, -alpha, beta))
            alpha.copy_(passed)


def _rotation(first: Tensor, second: Tensor, left: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Cosine, sine and e^{i phi} (None if real) that null `first` (right) or `second` (left), each [blocks, n].

    Right: e^{-i phi} cos theta first = sin theta second. Left: e^{i phi} sin theta first = -cos theta second.
    Where both are zero, theta is 0.
    """
    if not first.is_complex():
        squared = first.square() + second.square()
        length = squared.sqrt()
        zero = squared < VANISHING
        pivot, nulled = (first, -second) if left else (second, first)
        sine = torch.where(zero, 0.0, nulled / length)
        cosine = torch.where(zero, 1.0, pivot / length)
        return cosine, sine, None
    first_modulus, first_direction = _polar(first)
    second_modulus, second_direction = _polar(second)
    length = torch.hypot(first_modulus, second_modulus)
    pivot, nulled = (first_modulus, second_modulus) if left else (second_modulus, first_modulus)
    sine = torch.where(length == 0, 0.0, nulled / length)
    cosine = torch.where(length == 0, 1.0, pivot / length)
    phasor = first_direction * second_direction.conj()
    # Next to a zero any phi does; 0 needs no heater, and rounds to itself.
    both = (first_modulus > 0) & (second_modulus > 0)
    return cosine, sine, torch.where(both, -phasor.conj() if left else phasor, 1)


def _polar(value: Tensor) -> tuple[Tensor, Tensor]:
    """Modulus and direction, 0 and 1 for what is as good as zero."""
    squared = value.real.square() + value.imag.square()
    zero = squared < VANISHING
    modulus = torch.where(zero, 0.0, squared.sqrt())
    return modulus, torch.where(zero, 1.0, value / modulus)
