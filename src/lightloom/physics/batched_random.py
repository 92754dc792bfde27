"""The numbers of many random streams at once: those that torch draws from a CPU generator of each seed.

A kernel follows torch's generator step by step, which its documentation does not promise to keep. So before the kernel
is used, its numbers are compared with torch's own; where they differ, torch draws. Numbers agree to rounding.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lightloom.physics import compiled
from lightloom.physics.compiled.operators import address, define, one_by_one
from lightloom.physics.phases import truncated_noise

_FEWEST = 16  # of less, torch draws by another method
_LIMIT = 2.0  # standard deviations
_KIND: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}  # whatever torch's defaults are
_PROBES = ((7, 16), (2**40 + 1, 1003), (3, 4096))  # seeds and counts
_UNIFORM = (*[ctypes.c_int64] * 2, ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p)
_TRUNCATED = (*_UNIFORM[:3], *[ctypes.c_double] * 2, ctypes.c_int64, *[ctypes.c_void_p] * 2)


def uniform(seeds: Sequence[int], count: int) -> Tensor:
    """`torch.rand` of one generator per seed: [S, count] float32.

    Args:
        seeds: Seed of each of S generators.
        count: Numbers to draw from each.
    """
    numbers: Tensor = _uniform_operator(_signed(seeds), count)
    return numbers


def truncated(seeds: Sequence[int], count: int, std: float) -> Tensor:
    """`phases.truncated_noise` of one generator per seed: [S, count] float32, cut at two standard deviations.

    Args:
        seeds: Seed of each of S generators.
        count: Numbers to draw from each.
        std: Standard deviation before the cut.
    """
    numbers: Tensor = _truncated_operator(_signed(seeds), count, std)
    return numbers


def _run_uniform(seeds: Sequence[int], count: int) -> Tensor:
    return _uniform(seeds, count) if _alike() else _torch_uniform(seeds, count)


def _run_truncated(seeds: Sequence[int], count: int, std: float) -> Tensor:
    return _truncated(seeds, count, std) if count >= _FEWEST and _alike() else _torch_truncated(seeds, count, std)


def _fake(seeds: Sequence[int], count: int, *_: float) -> Tensor:
    return torch.empty(len(seeds), count, **_KIND)


_uniform_operator = define("draws_uniform(int[] seeds, int count) -> Tensor", _run_uniform, _fake, one_by_one)
_truncated_operator = define(
    "draws_truncated(int[] seeds, int count, float std) -> Tensor", _run_truncated, _fake, one_by_one
)


def _signed(seeds: Sequence[int]) -> list[int]:
    """The seeds as integers of an operator, which have a sign; a generator takes either for the same."""
    return [seed - (1 << 64) if seed >= 1 << 63 else seed for seed in seeds]


def _uniform(seeds: Sequence[int], count: int) -> Tensor:
    numbers = torch.empty(len(seeds), count, **_KIND)
    function = _function(compiled.library(), "draws_uniform")
    function(len(seeds), count, _seeds(seeds), torch.get_num_threads(), address(numbers, torch.float32))
    return numbers


def _truncated(seeds: Sequence[int], count: int, std: float) -> Tensor:
    numbers, certain = torch.empty(len(seeds), count, **_KIND), torch.empty(len(seeds), dtype=torch.uint8, device="cpu")
    addresses = address(numbers, torch.float32), address(certain, torch.uint8)
    function = _function(compiled.library(), "draws_truncated")
    function(len(seeds), count, _seeds(seeds), _LIMIT, std, torch.get_num_threads(), *addresses)
    for number in (certain == 0).nonzero().flatten().tolist():
        numbers[number] = _torch_truncated(seeds[number : number + 1], count, std)[0]
    return numbers


def _torch_uniform(seeds: Sequence[int], count: int) -> Tensor:
    return torch.stack([torch.rand(count, generator=_generator(seed), **_KIND) for seed in seeds])


def _torch_truncated(seeds: Sequence[int], count: int, std: float) -> Tensor:
    like = torch.empty(count, **_KIND)
    return torch.stack([truncated_noise(like, std, generator=_generator(seed)) for seed in seeds])


def _generator(seed: int) -> torch.Generator:
    return torch.Generator(device="cpu").manual_seed(seed)


def _seeds(seeds: Sequence[int]) -> ctypes.Array[ctypes.c_uint64]:
    return (ctypes.c_uint64 * len(seeds))(*seeds)


def _alike() -> bool:
    """Whether the kernel is there and draws what torch draws."""
    library = compiled.library()
    return library is not None and torch._C._len_torch_dispatch_stack() == 0 and _agrees(library)


@lru_cache(maxsize=4)
def _agrees(library: ctypes.CDLL) -> bool:
    return all(
        torch.equal(_uniform([seed], count), _torch_uniform([seed], count))
        and torch.allclose(_truncated([seed], count, 1.0), _torch_truncated([seed], count, 1.0), rtol=1e-5, atol=3e-6)
        for seed, count in _PROBES
    )


@lru_cache(maxsize=8)
def _function(library: ctypes.CDLL | None, name: str) -> Callable[..., Any]:
    function = getattr(library, name)
    function.argtypes, function.restype = _UNIFORM if name == "draws_uniform" else _TRUNCATED, None
    return function  # type: ignore[no-any-return]  # ctypes knows no types
