"""From phases to the matrix that a mesh makes, differentiable in the phases."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import Gradient, define, folded, ready, serves
from lightloom.physics.mesh import columns, kernels
from lightloom.physics.mesh.columns import Mesh
from lightloom.physics.mesh.layouts import Field, Layout, phase_count


def build(
    phases: Tensor,
    size: int,
    *,
    layout: Layout = "rectangle",
    field: Field = "real",
    signs: Tensor | None = None,
    loss_db: float = 0.0,
) -> Tensor:
    """The matrix M = D C_last ... C_1 C_0 of every block of a mesh, differentiable in the phases.

    The first derivative is as fast as the mesh itself; higher ones, forward-mode differentiation and the transforms of
    `torch.func` go column by column.

    Args:
        phases: [..., phase_count], radians, float32 or float64, in the order of `lightloom.physics.mesh`.
        size: Waveguides k.
        layout: Layout of the mesh.
        field: ``"real"`` for rotations alone, ``"complex"`` with phi and output phases.
        signs: [..., k] of +1 and -1, the output diagonal of a real mesh; broadcasts against the blocks. None
            is all +1.
        loss_db: Insertion loss of one MZI in dB: both its outputs are scaled by 10^(-loss_db / 20).

    Returns:
        [..., k, k], in the dtype of the phases or its complex partner. Orthogonal or unitary without loss.

    Raises:
        ValueError: There is no such mesh, a shape does not fit it, a complex mesh is given signs, or the loss
            is negative.
        TypeError: The phases are neither float32 nor float64.
    """
    expected = phase_count(size, layout, field)
    if phases.dtype not in (torch.float32, torch.float64):
        raise TypeError(f"The phases of a mesh are float32 or float64, not {phases.dtype}: call `.float()` first.")
    if phases.ndim == 0 or phases.shape[-1] != expected:
        raise ValueError(
            f"A {field} {layout} on {size} waveguides has {expected} phases in the last dimension; "
            f"given a tensor of shape {tuple(phases.shape)}."
        )
    if not loss_db >= 0:
        raise ValueError(f"The insertion loss of an MZI is 0 dB or more, not {loss_db}.")
    if signs is not None:
        phases, signs = _broadcast(phases, signs, size, field)
    blocks = phases.reshape(phases.shape[:-1].numel(), expected)
    matrix: Tensor = _build(blocks, signs, size, layout, field, 10 ** (-loss_db / 20))
    return matrix.view(*phases.shape[:-1], size, size)


def _broadcast(phases: Tensor, signs: Tensor, size: int, field: Field) -> tuple[Tensor, Tensor]:
    """Phases expanded to the blocks that the signs ask for, and signs as [blocks, k] of the same dtype."""
    if field == "complex":
        raise ValueError("A complex mesh has output phases in place of signs: give no `signs`.")
    if signs.ndim == 0 or signs.shape[-1] != size:
        raise ValueError(f"The signs of {size} waveguides are [..., {size}]; given shape {tuple(signs.shape)}.")
    signs = signs.detach().to(phases)
    if signs.shape[:-1] != phases.shape[:-1]:
        try:
            lead = torch.broadcast_shapes(phases.shape[:-1], signs.shape[:-1])  # type: ignore[no-untyped-call]
        except RuntimeError:
            raise ValueError(
                f"Signs of shape {tuple(signs.shape)} do not broadcast against phases of shape {tuple(phases.shape)}: "
                "all dimensions but the last must agree or be 1."
            ) from None
        phases, signs = phases.expand(*lead, -1), signs.expand(*lead, -1)
    return phases, signs.reshape(signs.shape[:-1].numel(), size)


def _run(phases: Tensor, signs: Tensor | None, size: int, layout: str, field: str, transmission: float) -> Tensor:
    mesh = _mesh(size, layout, field, transmission)
    if not serves(phases, signs):
        return columns.forward(phases, signs, mesh)
    return kernels.forward(ready(phases), None if signs is None else ready(signs), mesh)


def _fake(phases: Tensor, signs: Tensor | None, size: int, layout: str, field: str, transmission: float) -> Tensor:
    dtype = phases.dtype if field == "real" else phases.dtype.to_complex()
    return phases.new_empty(phases.shape[0], size, size, dtype=dtype)


def _plain(phases: Tensor, signs: Tensor | None, size: int, layout: str, field: str, transmission: float) -> Tensor:
    return columns.compose(phases, signs, _mesh(size, layout, field, transmission))


def _pull(
    inputs: tuple[Any, ...],
    outputs: tuple[Tensor, ...] | None,
    grads: tuple[Tensor | None, ...],
    needs: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """Gradients from the OUTPUT: `columns.backward` finds every state in between by undoing rotations."""
    assert outputs is not None  # `keeps_output`
    upstream = grads[0]
    return (None if upstream is None or not needs[0] else _build_backward(upstream, outputs[0], *inputs),)


_SHAPE = "Tensor phases, Tensor? signs, int size, str layout, str field, float transmission"

_build = define(f"mesh_build({_SHAPE}) -> Tensor", _run, _fake, folded, Gradient(_plain, _pull, keeps_output=True))


def _run_backward(upstream: Tensor, output: Tensor, phases: Tensor, signs: Tensor | None, *described: Any) -> Tensor:
    """The operator's arguments: gradient and output, and those of `_run`."""
    mesh = _mesh(*described)
    if not serves(upstream, output, phases, signs):
        return columns.backward(upstream, output, phases, signs, mesh)
    plain = None if signs is None else ready(signs)
    return kernels.backward(ready(upstream), ready(output), ready(phases), plain, mesh)


def _fake_backward(upstream: Tensor, output: Tensor, phases: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(phases, memory_format=torch.contiguous_format)


_build_backward = define(
    f"mesh_build_backward(Tensor upstream, Tensor output, {_SHAPE}) -> Tensor", _run_backward, _fake_backward, folded
)


def _mesh(size: int, layout: str, field: str, transmission: float) -> Mesh:
    return Mesh(size, cast(Layout, layout), cast(Field, field), transmission)
