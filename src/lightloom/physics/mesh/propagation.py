"""From phases to the matrix that a mesh makes, differentiable in the phases."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor

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
    """The matrix M = D C_last ... C_1 C_0 of every block of a mesh, differentiable in the phases (once).

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


# As operators of torch, so that tracing and compiling see one node with a known shape instead of a call into
# C++. Against a bare autograd.Function that costs some 4 us per call (10 us with a gradient), where `build`
# takes 40.
@torch.library.custom_op("lightloom::mesh_build", mutates_args=())
def _build(phases: Tensor, signs: Tensor | None, size: int, layout: str, field: str, transmission: float) -> Tensor:
    mesh = _mesh(size, layout, field, transmission)
    if not kernels.usable(phases):
        return columns.forward(phases, signs, mesh)
    return kernels.forward(_plain(phases), None if signs is None else _plain(signs), mesh)


@torch.library.custom_op("lightloom::mesh_build_backward", mutates_args=())
def _build_backward(
    upstream: Tensor,
    output: Tensor,
    phases: Tensor,
    signs: Tensor | None,
    size: int,
    layout: str,
    field: str,
    transmission: float,
) -> Tensor:
    mesh = _mesh(size, layout, field, transmission)
    if not kernels.usable(phases):
        return columns.backward(upstream, output, phases, signs, mesh)
    plain = None if signs is None else _plain(signs)
    return kernels.backward(_plain(upstream), _plain(output), _plain(phases), plain, mesh)


@_build.register_fake
def _(phases: Tensor, signs: Tensor | None, size: int, layout: str, field: str, transmission: float) -> Tensor:
    dtype = phases.dtype if field == "real" else phases.dtype.to_complex()
    return phases.new_empty(phases.shape[0], size, size, dtype=dtype)


@_build_backward.register_fake
def _(
    upstream: Tensor,
    output: Tensor,
    phases: Tensor,
    signs: Tensor | None,
    size: int,
    layout: str,
    field: str,
    transmission: float,
) -> Tensor:
    return torch.empty_like(phases)


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    """Keep the phases and the OUTPUT: `columns.backward` finds every state in between by undoing rotations."""
    phases, signs, *ctx.mesh = inputs
    ctx.save_for_backward(phases, signs, output)


def _slope(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
    phases, signs, output = ctx.saved_tensors
    return _build_backward(upstream, output, phases, signs, *ctx.mesh), None, None, None, None, None


_build.register_autograd(_slope, setup_context=_remember)


def _mesh(size: int, layout: str, field: str, transmission: float) -> Mesh:
    return Mesh(size, cast(Layout, layout), cast(Field, field), transmission)


def _plain(tensor: Tensor) -> Tensor:
    """The same numbers, contiguous and with no pending conjugation or negation, for whoever reads memory itself."""
    return tensor.resolve_conj().resolve_neg().contiguous()
