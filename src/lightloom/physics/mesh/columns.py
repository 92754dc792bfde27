"""The torch way to build and differentiate meshes: column by column, on any device."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lightloom.physics.mesh.layouts import Column, Field, Layout, wiring


class Mesh(NamedTuple):
    """Which mesh it is."""

    size: int
    """Waveguides k."""
    layout: Layout
    field: Field
    transmission: float
    """Amplitude that one MZI leaves of the field; 1 without loss."""


def forward(phases: Tensor, signs: Tensor | None, mesh: Mesh) -> Tensor:
    """The matrix M = D C_last ... C_0 of every block.

    Args:
        phases: [blocks, phase_count], radians, float32 or float64.
        signs: [blocks, k] of +1 and -1, or None for all +1.
        mesh: Which mesh it is.

    Returns:
        [blocks, k, k], real or complex.
    """
    angles = _Angles(phases, mesh)
    state = torch.eye(mesh.size, dtype=angles.dtype, device=phases.device).repeat(len(phases), 1, 1)
    for column in wiring(mesh.size, mesh.layout).columns:
        upper, lower = _pairs(state, column)
        if mesh.field == "complex":
            upper.mul_(angles.phasor(column))
        _rotate(upper, lower, *angles.rotation(column), mesh.transmission)
    return _diagonal(state, angles, signs)


def compose(phases: Tensor, signs: Tensor | None, mesh: Mesh) -> Tensor:
    """Compute `forward` with nothing in place: differentiable to any order, by whatever means torch has.

    Args:
        phases: [blocks, n] in rad.
        signs: [blocks, k] of +1 and -1 at the outputs; None is none.
        mesh: Size, layout, field and transmission.
    """
    angles = _Angles(phases, mesh)
    state = torch.eye(mesh.size, dtype=angles.dtype, device=phases.device).expand(len(phases), -1, -1)
    for column in wiring(mesh.size, mesh.layout).columns:
        upper, lower = _pairs(state, column)
        if mesh.field == "complex":
            upper = upper * angles.phasor(column)
        cosine, sine = (mesh.transmission * turn for turn in angles.rotation(column))
        halves = torch.stack((cosine * upper - sine * lower, sine * upper + cosine * lower), 2)
        end = column.start + 2 * column.count
        rows = (state[:, : column.start], halves.reshape(len(state), -1, mesh.size), state[:, end:])
        state = torch.cat(rows, 1)
    if angles.phasors is not None:
        return state * angles.phasors[:, 2 * angles.mzis :, None]
    return state if signs is None else state * signs.unsqueeze(-1)


def backward(upstream: Tensor, output: Tensor, phases: Tensor, signs: Tensor | None, mesh: Mesh) -> Tensor:
    """The gradient of the phases, from the output alone.

    Every rotation is undone on its way back from the output, so no state in between is ever stored: memory
    stays that of two matrices per block, whatever the depth.

    Args:
        upstream: [blocks, k, k], gradient of the output.
        output: [blocks, k, k], what `forward` returned.
        phases: As `forward`.
        signs: As `forward`.
        mesh: As `forward`.

    Returns:
        [blocks, phase_count].
    """
    angles = _Angles(phases, mesh)
    slope = torch.empty_like(phases)
    if mesh.field == "complex":
        slope[:, 2 * angles.mzis :] = _turning(upstream, output)
    inverse = None if signs is None else signs.reciprocal()
    field, gradient = _undo(output, angles, inverse), _undo(upstream, angles, signs)
    for column in reversed(wiring(mesh.size, mesh.layout).columns):
        upper, lower = _pairs(field, column)
        upper_gradient, lower_gradient = _pairs(gradient, column)
        here = slice(column.first, column.first + column.count)
        twisting = torch.linalg.vecdot(lower_gradient, upper) - torch.linalg.vecdot(upper_gradient, lower)
        slope[:, here] = (twisting.real if twisting.is_complex() else twisting).flatten(1)
        cosine, sine = angles.rotation(column)
        _rotate(upper, lower, cosine, -sine, 1 / mesh.transmission)
        _rotate(upper_gradient, lower_gradient, cosine, -sine, mesh.transmission)
        if mesh.field == "complex":
            slope[:, angles.mzis + here.start : angles.mzis + here.stop] = _turning(upper_gradient, upper).flatten(1)
            phasor = angles.phasor(column).conj()
            upper.mul_(phasor)
            upper_gradient.mul_(phasor)
    return slope


class _Angles:
    """Sines and cosines of a mesh's phases, cut into columns."""

    def __init__(self, phases: Tensor, mesh: Mesh) -> None:
        self.mzis = wiring(mesh.size, mesh.layout).mzis
        self.cosine, self.sine = phases.cos(), phases.sin()
        self.phasors = torch.complex(self.cosine, self.sine) if mesh.field == "complex" else None
        self.dtype = phases.dtype if self.phasors is None else self.phasors.dtype

    def rotation(self, column: Column) -> tuple[Tensor, Tensor]:
        """Cosine and sine of the column's theta, each [blocks, groups, stride, 1]."""
        return _cut(self.cosine, column.first, column), _cut(self.sine, column.first, column)

    def phasor(self, column: Column) -> Tensor:
        """e^{i phi} of the column, [blocks, groups, stride, 1]."""
        assert self.phasors is not None  # asked of complex meshes only
        return _cut(self.phasors, self.mzis + column.first, column)


def _cut(values: Tensor, first: int, column: Column) -> Tensor:
    here = values[:, first : first + column.count]
    return here.reshape(len(here), column.count // column.stride, column.stride, 1)


def _pairs(state: Tensor, column: Column) -> tuple[Tensor, Tensor]:
    """Views of the rows that a column joins: upper and lower waveguides, each [blocks, groups, stride, k]."""
    rows = state[:, column.start : column.start + 2 * column.count]
    halves = rows.view(len(rows), column.count // column.stride, 2, column.stride, state.shape[-1])
    return halves[:, :, 0], halves[:, :, 1]


def _rotate(upper: Tensor, lower: Tensor, cosine: Tensor, sine: Tensor, gain: float) -> None:
    """Multiply the rows by gain * [[c, -s], [s, c]], in place."""
    cosine, sine = (cosine, sine) if gain == 1 else (gain * cosine, gain * sine)
    turned = cosine * upper - sine * lower
    lower.mul_(cosine).add_(sine * upper)
    upper.copy_(turned)


def _diagonal(state: Tensor, angles: _Angles, signs: Tensor | None) -> Tensor:
    """The last columns' state times D, in place."""
    if angles.phasors is not None:
        return state.mul_(angles.phasors[:, 2 * angles.mzis :, None])
    return state if signs is None else state.mul_(signs.unsqueeze(-1))


def _undo(state: Tensor, angles: _Angles, signs: Tensor | None) -> Tensor:
    """A new, contiguous state: `state` times D* (complex) or `signs` (real)."""
    if angles.phasors is not None:
        return state.contiguous() * angles.phasors[:, 2 * angles.mzis :, None].conj()
    return (
        state.clone(memory_format=torch.contiguous_format)
        if signs is None
        else state.contiguous() * signs.unsqueeze(-1)
    )


def _turning(gradient: Tensor, field: Tensor) -> Tensor:
    """Re sum i conj(gradient) field over the last dimension: the slope of a phase in front of each row."""
    product: Tensor = torch.linalg.vecdot(gradient, field)
    return -product.imag
