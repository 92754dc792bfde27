"""The compiled way to distances, paths and spanning trees: plain calls into `lightloom.physics.compiled`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightloom.physics import compiled

_COUNT, _ADDRESS = ctypes.c_int64, ctypes.c_void_p
_ARGUMENTS = {
    "distances": (*[_COUNT] * 5, *[_ADDRESS] * 2),
    "path": (*[_COUNT] * 5, *[_ADDRESS] * 4),
    "span": (*[_COUNT] * 4, *[_ADDRESS] * 4),
}
_WIDTH = 64  # bytes of a vector: points are padded to whole ones, with what counts nothing


def usable(tensor: Tensor) -> bool:
    """Whether the kernels are built and serve tensors where this one is."""
    return tensor.device.type == "cpu" and compiled.library() is not None


def distances(points: Tensor, holes: bool) -> Tensor:
    """As `paths.distances`; `holes` says that a place may be empty in one point and not in another."""
    problems, n, size = points.shape
    width = -(-size // _WIDTH) * _WIDTH
    held = torch.zeros(problems, n, width, dtype=torch.uint8)
    held[..., :size] = points.view(torch.uint8) ^ 128  # the order of levels, with PAD at 0
    made = torch.empty(problems, n, n, dtype=torch.int32)
    _call("distances", problems, n, width, holes, torch.get_num_threads(), held, made)
    return made


def path(distances: Tensor, first: Tensor, last: Tensor, kicks: int, seed: int) -> Tensor:
    """As `paths.path`, for paths with a cost at either end."""
    problems, n, _ = distances.shape
    made = torch.empty(problems, n, dtype=torch.int32)
    state = 2 * seed + 1  # never 0, where the generator would stay
    _call("path", problems, n, kicks, state, torch.get_num_threads(), distances, first, last, made)
    return made


def span(distances: Tensor, prices: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """As `bounds.span`."""
    problems, n, _ = distances.shape
    totals, degrees = torch.empty(problems, dtype=torch.int64), torch.empty(problems, n, dtype=torch.int32)
    _call("span", problems, n, scale, torch.get_num_threads(), distances, prices, totals, degrees)
    return totals, degrees


def _call(kernel: str, *arguments: Any) -> None:
    held = [value.contiguous() if isinstance(value, Tensor) else value for value in arguments]  # lives until the return
    plain = (value.data_ptr() if isinstance(value, Tensor) else value for value in held)
    _function(compiled.library(), kernel)(*plain)


@lru_cache(maxsize=8)
def _function(library: ctypes.CDLL, kernel: str) -> Callable[..., Any]:
    function = getattr(library, f"pcm_{kernel}")
    function.argtypes, function.restype = _ARGUMENTS[kernel], None
    return function  # type: ignore[no-any-return]  # ctypes knows no types
