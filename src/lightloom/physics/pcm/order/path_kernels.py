"""The compiled way to distances, paths and spanning trees: plain calls into `lightloom.physics.compiled`."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.compiled.operators import address, ready, serves

_COUNT, _ADDRESS = ctypes.c_int64, ctypes.c_void_p
_ARGUMENTS = {
    "distances": (*[_COUNT] * 5, *[_ADDRESS] * 2),
    "path": (*[_COUNT] * 5, *[_ADDRESS] * 4),
    "span": (*[_COUNT] * 4, *[_ADDRESS] * 4),
}
_WIDTH = 64  # bytes of a vector: points are padded to whole ones, with what counts nothing


def usable(*tensors: Tensor) -> bool:
    """Whether the kernels are built and serve tensors where these are."""
    return serves(*tensors)


def distances(points: Tensor, holes: bool) -> Tensor:
    """Compute `paths.distances`; `holes` says that a place may be empty in one point and not in another.

    Args:
        points: int8 [problems, points, coordinates] on the CPU.
        holes: Whether a place may be empty in one point and not in another.
    """
    problems, n, size = points.shape
    width = -(-size // _WIDTH) * _WIDTH
    padded = points.new_zeros(problems, n, width, dtype=torch.uint8)
    padded[..., :size] = points.view(torch.uint8) ^ 128  # the order of levels, with PAD at 0
    table = points.new_empty(problems, n, n, dtype=torch.int32)
    addresses = address(padded, torch.uint8), address(table, torch.int32)
    _call("distances", problems, n, width, holes, torch.get_num_threads(), *addresses)
    return table


def path(distances: Tensor, first: Tensor, last: Tensor, kicks: int, seed: int) -> Tensor:
    """Compute `paths.path` for paths with a cost at either end.

    Args:
        distances: [problems, points, points].
        first: Cost of each point at the beginning.
        last: Cost of each point at the end.
        kicks: As in `paths.path`.
        seed: Number that the kicks follow from.
    """
    problems, n, _ = distances.shape
    arrays = ready(distances), ready(first), ready(last), distances.new_empty(problems, n)
    state = 2 * seed + 1  # never 0, where the generator would stay
    addresses = (address(tensor, torch.int32) for tensor in arrays)
    _call("path", problems, n, kicks, state, torch.get_num_threads(), *addresses)
    return arrays[-1]


def span(distances: Tensor, prices: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Compute `bounds.span`.

    Args:
        distances: [problems, points, points].
        prices: [problems, points]; an edge costs those of both its ends as well.
        scale: Price units in a unit of distance.
    """
    problems, n, _ = distances.shape
    totals, degrees = prices.new_empty(problems), distances.new_empty(problems, n)
    arrays = ready(distances), ready(prices), totals, degrees
    types = torch.int32, torch.int64, torch.int64, torch.int32
    _call("span", problems, n, scale, torch.get_num_threads(), *map(address, arrays, types))
    return totals, degrees


def _call(kernel: str, *arguments: Any) -> None:
    _function(compiled.library(), kernel)(*arguments)


@lru_cache(maxsize=8)
def _function(library: ctypes.CDLL | None, kernel: str) -> Callable[..., Any]:
    function = getattr(library, f"pcm_{kernel}")
    function.argtypes, function.restype = _ARGUMENTS[kernel], None
    return function  # type: ignore[no-any-return]  # ctypes knows no types
