"""The compiled way to build, differentiate and decompose meshes: plain calls into `lightloom.physics.compiled`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.compiled.operators import address
from lightloom.physics.mesh.columns import Mesh
from lightloom.physics.mesh.layouts import Field, Layout, constant, phase_count, wiring
from lightloom.physics.mesh.nulling import Nulled, full_turn, nulling_order

_POINTER, _COUNT = ctypes.c_void_p, ctypes.c_int64
_MESH = (_COUNT, _COUNT, _COUNT, *[_POINTER] * 4, ctypes.c_double, _COUNT)
_ARGUMENTS = {
    "forward": (*_MESH, _POINTER),
    "backward": (*_MESH, _POINTER, _POINTER, _POINTER),
    "decompose": (_COUNT, _COUNT, _COUNT, *[_POINTER] * 5, ctypes.c_double, _COUNT),
}


def forward(phases: Tensor, signs: Tensor | None, mesh: Mesh) -> Tensor:
    """Compute `columns.forward` for contiguous CPU tensors.

    Args:
        phases: [blocks, n] in rad.
        signs: [blocks, k] of +1 and -1 at the outputs; None is none.
        mesh: Size, layout, field and transmission.
    """
    dtype = phases.dtype if mesh.field == "real" else phases.dtype.to_complex()
    output = phases.new_empty(len(phases), mesh.size, mesh.size, dtype=dtype)
    _propagate("forward", phases, signs, mesh, output)
    return output


def backward(upstream: Tensor, output: Tensor, phases: Tensor, signs: Tensor | None, mesh: Mesh) -> Tensor:
    """Compute `columns.backward` for contiguous CPU tensors.

    Args:
        upstream: [blocks, k, k], the gradient of the matrices.
        output: [blocks, k, k], the matrices that `forward` gave.
        phases: [blocks, n] in rad.
        signs: [blocks, k] of +1 and -1 at the outputs; None is none.
        mesh: Size, layout, field and transmission.
    """
    slope = torch.empty_like(phases)
    _propagate("backward", phases, signs, mesh, output, upstream, slope)
    return slope


def null(matrices: Tensor, layout: Layout, dtype: torch.dtype) -> Nulled:
    """Compute `nulling.null` for contiguous CPU tensors.

    Args:
        matrices: [blocks, k, k], float64 or complex128.
        layout: A universal layout.
        dtype: Type of the phases.
    """
    blocks, size, _ = matrices.shape
    field: Field = "complex" if matrices.is_complex() else "real"
    real = torch.float64
    phases = matrices.new_empty(blocks, phase_count(size, layout, field), dtype=real)
    signs = matrices.new_empty(blocks, size, dtype=real) if field == "real" else None
    deviation = matrices.new_empty(blocks, dtype=real)
    order, steps = _steps(size, layout)
    arrays = address(matrices, matrices.dtype), *(address(tensor, real) for tensor in (phases, signs, deviation))
    function = _function(compiled.library(), "decompose", f"mesh_decompose_{field}")
    function(blocks, size, len(order), steps, *arrays, full_turn(dtype), torch.get_num_threads())
    return Nulled(phases.to(dtype), signs, deviation)


def _propagate(kernel: str, phases: Tensor, signs: Tensor | None, mesh: Mesh, *matrices: Tensor) -> None:
    """Call `kernel`, which reads and writes `matrices`."""
    dtype = phases.dtype
    name = f"mesh_{kernel}_{mesh.field}_{'float64' if dtype == torch.float64 else 'float32'}"
    wires, upper, lower = _wires(mesh.size, mesh.layout)
    kind = dtype if mesh.field == "real" else dtype.to_complex()
    _function(compiled.library(), kernel, name)(
        len(phases),
        mesh.size,
        wires.shape[1],
        upper,
        lower,
        address(phases, dtype),
        address(signs, dtype),
        mesh.transmission,
        torch.get_num_threads(),
        *(address(matrix, kind if matrix.ndim == 3 else dtype) for matrix in matrices),
    )


@lru_cache(maxsize=256)
def _wires(size: int, layout: Layout) -> tuple[NDArray[np.int32], int, int]:
    """The places of all MZIs, and where the waveguides of their upper and their lower sides lie in memory."""
    places = wiring(size, layout).places
    return places, places[0].ctypes.data, places[1].ctypes.data


@lru_cache(maxsize=32)
def _function(library: ctypes.CDLL | None, kernel: str, name: str) -> Callable[..., Any]:
    function = getattr(library, name)
    function.argtypes, function.restype = _ARGUMENTS[kernel], None
    return function  # type: ignore[no-any-return]  # ctypes knows no types


@lru_cache(maxsize=64)
def _steps(size: int, layout: Layout) -> tuple[NDArray[np.int32], int]:
    """int32 [m, 4]: (MZI, upper waveguide, nulled row or column, from the left) as they are nulled, and its address."""
    rows = [
        (stage.first + i, stage.start + 2 * i, nulled, int(stage.left))
        for stage in nulling_order(size, layout)
        for i, nulled in enumerate(stage.nulled)
    ]
    order = constant(rows, np.int32).reshape(len(rows), 4)
    return order, order.ctypes.data
