"""The compiled way to build, differentiate and decompose meshes: plain calls into `lightloom.physics.compiled`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.mesh.columns import Mesh
from lightloom.physics.mesh.layouts import Field, Layout, mzi_count, phase_count, wiring
from lightloom.physics.mesh.nulling import Nulled, full_turn, nulling_order

_POINTER, _COUNT = ctypes.c_void_p, ctypes.c_int64
_MESH = (_COUNT, _COUNT, _COUNT, *[_POINTER] * 4, ctypes.c_double, _COUNT)
_ARGUMENTS = {
    "forward": (*_MESH, _POINTER),
    "backward": (*_MESH, _POINTER, _POINTER, _POINTER),
    "decompose": (_COUNT, _COUNT, _COUNT, *[_POINTER] * 5, ctypes.c_double, _COUNT),
}


def usable(tensor: Tensor) -> bool:
    """Whether the kernels are built and can work on `tensor`: it is on the CPU."""
    return tensor.device.type == "cpu" and compiled.library() is not None


def forward(phases: Tensor, signs: Tensor | None, mesh: Mesh) -> Tensor:
    """As `columns.forward`, for contiguous CPU tensors."""
    dtype = phases.dtype if mesh.field == "real" else phases.dtype.to_complex()
    output = torch.empty(len(phases), mesh.size, mesh.size, dtype=dtype)
    _propagate("forward", phases, signs, mesh, output)
    return output


def backward(upstream: Tensor, output: Tensor, phases: Tensor, signs: Tensor | None, mesh: Mesh) -> Tensor:
    """As `columns.backward`, for contiguous CPU tensors."""
    slope = torch.empty_like(phases)
    _propagate("backward", phases, signs, mesh, output, upstream, slope)
    return slope


def null(matrices: Tensor, layout: Layout, dtype: torch.dtype) -> Nulled:
    """As `nulling.null`, for contiguous CPU tensors."""
    blocks, size, _ = matrices.shape
    field: Field = "complex" if matrices.is_complex() else "real"
    phases = torch.empty(blocks, phase_count(size, layout, field), dtype=torch.float64)
    signs = torch.empty(blocks, size, dtype=torch.float64) if field == "real" else None
    deviation = torch.empty(blocks, dtype=torch.float64)
    arrays = (_steps(size, layout), matrices, phases, signs, deviation)
    function = _function(compiled.library(), "decompose", f"mesh_decompose_{field}")
    function(blocks, size, mzi_count(size, layout), *map(_address, arrays), full_turn(dtype), torch.get_num_threads())
    return Nulled(phases.to(dtype), signs, deviation)


def _propagate(kernel: str, phases: Tensor, signs: Tensor | None, mesh: Mesh, *matrices: Tensor) -> None:
    """Call `kernel`, which reads and writes `matrices`."""
    wires = wiring(mesh.size, mesh.layout)
    name = f"mesh_{kernel}_{mesh.field}_{'float64' if phases.dtype == torch.float64 else 'float32'}"
    arrays = (wires.upper, wires.lower, phases, signs)
    _function(compiled.library(), kernel, name)(
        len(phases),
        mesh.size,
        wires.mzis,
        *map(_address, arrays),
        mesh.transmission,
        torch.get_num_threads(),
        *map(_address, matrices),
    )


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


@lru_cache(maxsize=32)
def _function(library: ctypes.CDLL | None, kernel: str, name: str) -> Callable[..., Any]:
    function = getattr(library, name)
    function.argtypes, function.restype = _ARGUMENTS[kernel], None
    return function  # type: ignore[no-any-return]  # ctypes knows no types


@lru_cache(maxsize=64)
def _steps(size: int, layout: Layout) -> Tensor:
    """int32 [m, 4]: (MZI, upper waveguide, nulled row or column, from the left) in the order of nulling."""
    rows = [
        (stage.first + i, stage.start + 2 * i, nulled, int(stage.left))
        for stage in nulling_order(size, layout)
        for i, nulled in enumerate(stage.nulled)
    ]
    return torch.tensor(rows, dtype=torch.int32).reshape(len(rows), 4)
