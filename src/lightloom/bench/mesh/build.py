"""How much faster meshes are built and decomposed here than by a loop over rotations.

The measure is what the field's codes do, in its strongest plain form: NumPy, one rotation after another, but
each rotation over all blocks at once and only where the matrix is not zero yet. Both sides are real
rectangles in float64, run in turns in one process, and their results are checked against each other first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lightloom.bench.kernels import ask_for_kernels
from lightloom.physics import compiled
from lightloom.physics.mesh import build, decompose, mzi_count, wiring

Array = NDArray[np.float64]


def mesh(sizes: Sequence[int] = (8, 16, 32, 64), repeats: int = 21, seed: int = 0) -> dict[str, Any]:
    """Measure `build` and `decompose` against a NumPy loop over rotations.

    Running this asks for the compiled kernels: they are built where there is a C++ compiler.

    Args:
        sizes: Waveguides k of the meshes.
        repeats: Rounds per figure, at most; each figure is the median of their ratios.
        seed: Of the random matrices.

    Returns:
        ``build_speedup`` and ``decompose_speedup`` by size at 64 blocks, the same at 512 blocks
        (``blocks512``), the same again for torch alone (``torch``), the ``backend``, its ``threads`` and the
        largest difference from the loop.

    Raises:
        RuntimeError: The two sides disagree.
    """
    note = ask_for_kernels()
    few = {size: _speedups(size, 64, repeats, seed) for size in sizes}
    many = {size: _speedups(size, 512, repeats, seed) for size in sizes}
    best = compiled.backend()
    return {
        **_table(few, best),
        "blocks512": _table(many, best),
        "torch": {**_table(few, "torch"), "blocks512": _table(many, "torch")},
        "backend": best,
        "note": note,
        "threads": torch.get_num_threads(),
        "largest_difference": max(figures["difference"] for figures in [*few.values(), *many.values()]),
    }


def loop_build(phases: Array, signs: Array, size: int) -> Array:
    """The matrices [blocks, k, k] of real rectangles, one rotation after another.

    Args:
        phases: [blocks, m] angle of each rotation, in rad.
        signs: [blocks, k] of +1 and -1, at the outputs.
        size: Waveguides k.
    """
    cosine, sine = np.cos(phases)[:, :, None], np.sin(phases)[:, :, None]
    state = np.tile(np.eye(size), (len(phases), 1, 1))
    mzi = 0
    for column in range(size):
        for row in range(column % 2, size - 1, 2):
            upper, lower = state[:, row], state[:, row + 1]
            c, s = cosine[:, mzi], sine[:, mzi]
            turned = c * upper - s * lower
            state[:, row + 1] = s * upper + c * lower
            state[:, row] = turned
            mzi += 1
    return signs[:, :, None] * state


def loop_decompose(matrix: Array) -> tuple[Array, Array]:
    """Phases and signs of orthogonal [blocks, k, k] as real rectangles, one rotation after another (Clements 2016)."""
    work = matrix.copy()
    blocks, size, _ = matrix.shape
    phases = np.empty((blocks, mzi_count(size, "rectangle")))
    firsts = [column.first for column in wiring(size, "rectangle").columns]
    lefts: list[tuple[int, int]] = []
    for diagonal in range(size - 1):
        for step in range(diagonal + 1):
            if diagonal % 2 == 0:
                row, nulled, column = diagonal - step, size - 1 - step, step
                lines = work[:, : nulled + 1, row : row + 2].swapaxes(1, 2)
                angle = np.arctan2(lines[:, 0, -1], lines[:, 1, -1])
            else:
                row, column = size - 2 - diagonal + step, size - 1 - step
                lines = work[:, row : row + 2, step:]
                angle = np.arctan2(-lines[:, 1, 0], lines[:, 0, 0])
                lefts.append((firsts[column] + row // 2, row))
            c, s = np.cos(angle)[:, None], np.sin(angle)[:, None]
            turned = c * lines[:, 0] - s * lines[:, 1]
            lines[:, 1] = s * lines[:, 0] + c * lines[:, 1]
            lines[:, 0] = turned
            phases[:, firsts[column] + row // 2] = angle
    signs = np.where(np.diagonal(work, axis1=1, axis2=2) < 0, -1.0, 1.0)
    for mzi, row in lefts:
        phases[:, mzi] *= -signs[:, row] * signs[:, row + 1]
    return phases % (2 * math.pi), signs


def _speedups(size: int, blocks: int, repeats: int, seed: int) -> dict[str, Any]:
    """Every ratio at one size, by what was done and on which backend, and how far the results were apart."""
    generator = torch.Generator().manual_seed(seed)
    normal = torch.randn(blocks, size, size, generator=generator, dtype=torch.float64)
    target = torch.linalg.qr(normal)[0].contiguous()
    settings = decompose(target)
    assert settings.signs is not None  # the matrices are real
    arrays = settings.phases.numpy(), settings.signs.numpy()
    looped = loop_build(*loop_decompose(target.numpy()), size)
    ours = build(settings.phases, size, signs=settings.signs)
    difference = max(np.abs(looped - target.numpy()).max(), np.abs(ours.numpy() - looped).max())
    if not difference < 1e-10:
        raise RuntimeError(
            f"The loop and `build` differ by {difference:.3g} at k = {size}: the figures would mean nothing."
        )
    verbs: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "build": (lambda: loop_build(*arrays, size), lambda: build(settings.phases, size, signs=settings.signs)),
        "decompose": (lambda: loop_decompose(target.numpy()), lambda: decompose(target)),
    }
    figures: dict[str, Any] = {"difference": float(difference)}
    for name in dict.fromkeys((compiled.backend(), "torch")):
        for verb, (loop, work) in verbs.items():
            figures[f"{verb} {name}"] = _ratio(loop, _on(name, work), repeats)
    return figures


def _on(name: compiled.Backend, work: Callable[[], object]) -> Callable[[], Any]:
    def run() -> object:
        with nullcontext() if name == compiled.backend() else compiled.use(name):
            return work()

    return run


def _ratio(loop: Callable[[], object], ours: Callable[[], object], repeats: int, patience: float = 1.0) -> float:
    """Median of time ratios, in turns; three rounds at least, and no more once `patience` seconds have passed.

    Each round is a pair taken close together, so that whatever else the machine does slows both sides of it.
    """
    counts = []
    for work in (loop, ours):
        cold = _clock(work, 1)
        counts.append(max(1, int(2e-3 / _clock(work, 1))) if cold < 0.02 else 1)
    ratios: list[float] = []
    begun = time.perf_counter()
    while len(ratios) < repeats and (len(ratios) < 3 or time.perf_counter() - begun < patience):
        ratios.append(_clock(loop, counts[0]) / _clock(ours, counts[1]))
    return median(ratios)


def _clock(work: Callable[[], object], count: int) -> float:
    """Seconds per call, over `count` calls."""
    begun = time.perf_counter()
    for _ in range(count):
        work()
    return (time.perf_counter() - begun) / count


def _table(figures: dict[int, dict[str, Any]], name: str) -> dict[str, dict[str, float]]:
    return {
        f"{verb}_speedup": {str(size): float(f"{one[f'{verb} {name}']:.3g}") for size, one in figures.items()}
        for verb in ("build", "decompose")
    }
