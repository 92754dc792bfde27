"""From an orthogonal or unitary matrix to the phases that make it, exactly."""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor

from lightloom.physics.compiled.operators import define, folded, ready, serves
from lightloom.physics.mesh import kernels, nulling
from lightloom.physics.mesh.layouts import UNIVERSAL_LAYOUTS, Field, Layout, phase_count, wiring

_TOLERANCE = 1e-3
_REAL = {
    torch.float32: torch.float32,
    torch.float64: torch.float64,
    torch.complex64: torch.float32,
    torch.complex128: torch.float64,
}


class MeshPhases(NamedTuple):
    """What a mesh is programmed to."""

    phases: Tensor
    """[..., phase_count], radians in [0, 2 pi), in the order of `lightloom.physics.mesh`."""
    signs: Tensor | None
    """[..., k] of +1 and -1, the output diagonal of a real mesh; None for a complex one."""


def decompose(matrix: Tensor, *, layout: Layout = "rectangle") -> MeshPhases:
    """The settings for which `build` makes `matrix`, exactly, for every block.

    Rectangle after Clements et al., Optica 3, 1460 (2016); triangle after Reck et al., Phys. Rev. Lett. 73,
    58 (1994). The work is done in float64; no gradient flows.

    Args:
        matrix: [..., k, k], orthogonal (float32 or float64, for a real mesh) or unitary (complex64 or
            complex128, for a complex one). Left as it is.
        layout: A universal layout.

    Returns:
        Phases in [0, 2 pi), in the real dtype of `matrix`, and the signs of a real mesh.

    Raises:
        ValueError: The matrices are not square, hold NaN or infinity, or are not orthogonal or unitary
            (within 1e-3); or the layout is not universal.
        TypeError: The dtype is another.
    """
    if layout not in UNIVERSAL_LAYOUTS:
        raise ValueError(
            f"A {layout} mesh cannot make every matrix, so there is no decomposition for it: "
            f"use one of {', '.join(UNIVERSAL_LAYOUTS)}, or fit its phases by gradient descent through `build`."
        )
    if matrix.dtype not in _REAL:
        raise TypeError(f"A matrix to decompose is float32, float64, complex64 or complex128, not {matrix.dtype}.")
    if matrix.ndim < 2 or matrix.shape[-1] != matrix.shape[-2] or matrix.shape[-1] == 0:
        raise ValueError(
            f"A mesh makes square matrices [..., k, k]; given shape {tuple(matrix.shape)}. "
            "Cut a weight matrix into square blocks, and each block into U, S, V by an SVD."
        )
    lead, size = matrix.shape[:-2], matrix.shape[-1]
    wide = torch.complex128 if matrix.is_complex() else torch.float64
    blocks = matrix.detach().to(wide).reshape(lead.numel(), size, size)
    real = _REAL[matrix.dtype]
    phases, signs = _decompose(blocks, layout, real)
    return MeshPhases(
        phases.view(*lead, phases.shape[-1]), None if matrix.is_complex() else signs.to(real).view(*lead, size)
    )


def signs_to_input(phases: Tensor, signs: Tensor, layout: Layout) -> Tensor:
    """Phases for which M = D M' becomes M = M'' D, of real meshes with output signs D.

    A pair of signs passes a rotation by turning it round where they differ: D R(theta) = R(d_a d_b theta) D. At the
    input of U they meet the attenuators of a tensor core, which are signed anyway.

    Args:
        phases: [blocks, n] in rad.
        signs: [blocks, k] of +1 and -1.
        layout: Layout of the meshes.
    """
    wires = wiring(signs.shape[-1], layout)
    return phases * signs[:, wires.upper.long()] * signs[:, wires.lower.long()]


def _run(blocks: Tensor, layout: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    layout = cast(Layout, layout)
    null = kernels.null if serves(blocks) else nulling.null
    nulled = null(ready(blocks), layout, dtype)
    _check(blocks, nulled.deviation)
    return nulled.phases, nulled.deviation.new_empty(0) if nulled.signs is None else nulled.signs


def _fake(blocks: Tensor, layout: str, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    field: Field = "complex" if blocks.is_complex() else "real"
    count, size = blocks.shape[:2]
    phases = blocks.new_empty(count, phase_count(size, cast(Layout, layout), field), dtype=dtype)
    signs = (count, size) if field == "real" else (0,)
    return phases, blocks.new_empty(signs, dtype=torch.float64)


_decompose = define(
    "mesh_decompose(Tensor blocks, str layout, ScalarType dtype) -> (Tensor phases, Tensor signs)", _run, _fake, folded
)


def _check(blocks: Tensor, deviation: Tensor) -> None:
    """Refuse what no mesh can make; `deviation` is what nulling left."""
    if not len(blocks) or bool(deviation.max() <= _TOLERANCE):
        return
    if not blocks.isfinite().all():
        raise ValueError("The matrix to decompose holds NaN or infinite elements.")
    bad = int((~(deviation <= _TOLERANCE)).sum())
    kind, columns = ("unitary", "U and V^H") if blocks.is_complex() else ("orthogonal", "U and V^T")
    raise ValueError(
        f"A mesh without loss makes {kind} matrices; {bad} of {len(blocks)} given are not: after nulling, what remains "
        f"differs from a diagonal of unit moduli by up to {deviation.max().item():.3g} (tolerance {_TOLERANCE:g}). "
        f"Decompose the {columns} of the matrix's SVD instead."
    )
