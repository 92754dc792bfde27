"""Claim: weights become levels, are reordered and their writes counted many times faster than with float sorts."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lightloom.bench.kernels import ask_for_kernels
from lightloom.physics import compiled
from lightloom.physics.blocks import to_blocks
from lightloom.physics.pcm.levels import magnitudes, midpoints, transmissions
from lightloom.physics.pcm.order.bounds import lower_bound
from lightloom.physics.pcm.order.paths import distances, length, path
from lightloom.physics.pcm.order.sort import sort_cells
from lightloom.physics.pcm.quantise import levels_of
from lightloom.physics.pcm.schedule import natural, sequence
from lightloom.physics.pcm.writes import count, worst_pair

SHAPES = ((64, 27), (128, 576), (256, 1152), (512, 2304), (512, 4608), (10, 512))
"""Weight matrices of VGG8. With arrays of 64 none has a cell that is used at some turns and not at others."""

SIZE, LEVELS, BASE = 64, 16, 0.872
"""Sizes of the published chip: slots of an array, levels of a 4-bit cell, transmission of one step."""


class Totals(NamedTuple):
    """What both ways must agree on, to the last level."""

    rises: int
    falls: int
    worst_pair: int


def reorder(*, seed: int = 0, rounds: int = 5, columns: int = 4608, rows: int = 512) -> dict[str, Any]:
    """Time from float weights to counted writes of a VGG8, each cell sorted, against a way of float tensors throughout.

    Both count from an erased start, in ascending order; both results must be equal. Then, where all rows share their
    inputs: one short path through all columns of a matrix, and how far above a lower bound its length is.

    Args:
        seed: Of the weights, Kaiming-normal.
        rounds: Ratios measured, of which the median is given.
        columns: Of the matrix through whose columns a path is laid.
        rows: Of that matrix.

    Raises:
        RuntimeError: The two ways do not count the same.
    """
    torch.manual_seed(seed)
    note = ask_for_kernels()
    weights = [_weight(*shape) for shape in SHAPES]
    if (ours := _ours(weights)) != (theirs := _floats(weights)):
        raise RuntimeError(f"The writes differ: {ours} of integer levels, {theirs} of float levels.")
    speedup = _speedup(weights, rounds)
    parts = _parts(weights, rounds)
    with compiled.use("torch"):
        plain = _speedup(weights, rounds)
    count_of_weights = sum(map(Tensor.numel, weights))
    return {
        "speedup": speedup,
        "speedup_without_kernels": plain,
        **{f"{name}_seconds": seconds for name, seconds in parts.items()},
        "nanoseconds_per_weight": sum(parts.values()) / count_of_weights * 1e9,
        "weights": count_of_weights,
        **ours._asdict(),
        "path": _path(columns, rows),
        "backend": compiled.backend(),
        "note": note,
        "threads": torch.get_num_threads(),
        "torch": str(torch.__version__),
    }


def _path(columns: int, rows: int) -> dict[str, float]:
    """One order for all columns of one matrix: seconds, levels saved, and the gap to the Held-Karp bound."""
    levels = levels_of(_weight(rows, columns), magnitudes(transmissions(LEVELS, BASE)))
    started = time.perf_counter()
    apart = distances(levels.T.contiguous()[None])
    order = path(apart)
    seconds = time.perf_counter() - started
    levels_along = length(order, apart)
    bound = int(lower_bound(apart, upper=levels_along))
    natural = int(length(torch.arange(columns, dtype=torch.int32)[None], apart))
    return {
        "columns": columns,
        "rows": rows,
        "seconds": seconds,
        "levels_written": int(levels_along),
        "reduction": natural / int(levels_along),
        "gap": int(levels_along) / bound - 1,
    }


def _weight(rows: int, columns: int) -> Tensor:
    """Kaiming-normal weights, none so near to halfway between two levels that rounding decides which it takes."""
    weight = torch.randn(rows, columns) * (2 / columns) ** 0.5
    halfway = midpoints(magnitudes(transmissions(LEVELS, BASE)))
    shares = weight.double().tanh().abs()
    shares /= shares.max()
    above = torch.searchsorted(halfway, shares).clamp(max=len(halfway) - 1)
    distance = torch.minimum((halfway[above] - shares).abs(), (halfway[(above - 1).clamp(min=0)] - shares).abs())
    return torch.where(distance < 1e-5, weight * 0.999, weight)


def _ours(weights: list[Tensor]) -> Totals:
    return _added(_follow(weight, lambda _: None) for weight in weights)


def _follow(weight: Tensor, report: Callable[[str], None]) -> Totals:
    """Our way, which says after each part that it is done."""
    levels = levels_of(weight, magnitudes(transmissions(LEVELS, BASE)))
    report("levels")
    schedule = sort_cells(levels, natural(1, len(weight), weight.shape[1], SIZE))
    report("sort")
    ordered = sequence(levels, schedule)
    report("sequence")
    writes = count(ordered, "erased")
    totals = Totals(int(writes.rises.sum()), int(writes.falls.sum()), worst_pair(writes))
    report("count")
    return totals


def _floats(weights: list[Tensor]) -> Totals:
    return _added(_follow_floats(weight) for weight in weights)


def _follow_floats(weight: Tensor) -> Totals:
    """The usual way: logarithms, two candidates, both arrays as floats, a sort and two gathers of blocks."""
    steps = LEVELS - 1
    compressed = weight.tanh()
    magnitude = compressed.abs()
    darkest = BASE**steps
    transmission = magnitude / magnitude.max() * (1 - darkest) + darkest
    exact = transmission.log() / math.log(BASE)
    fewer, more = exact.floor().clamp(0, steps), exact.ceil().clamp(0, steps)
    nearer = (BASE**fewer - transmission).abs() < (BASE**more - transmission).abs()
    level = steps - torch.where(nearer, fewer, more)
    positive = to_blocks(torch.where(compressed > 0, level, 0), SIZE)
    negative = to_blocks(torch.where(compressed < 0, level, 0), SIZE)
    order = (positive - negative).sort(dim=1).indices
    rises, falls, worst = 0, 0, torch.zeros(())
    for blocks in (positive, negative):
        ordered = blocks.gather(1, order)
        change = torch.cat([ordered[:, :1], ordered.diff(dim=1)], 1)
        up, down = change.clamp(min=0).sum(1), change.clamp(max=0).neg().sum(1)
        rises, falls, worst = rises + int(up.sum()), falls + int(down.sum()), worst + up + down
    return Totals(rises, falls, int(worst.max()))


def _added(layers: Iterable[Totals]) -> Totals:
    rises, falls, worst = zip(*layers, strict=True)
    return Totals(sum(rises), sum(falls), max(worst))


def _speedup(weights: list[Tensor], rounds: int) -> float:
    """Median of ratios of turns taken alternately, so that other load hits both."""
    _ours(weights)
    return statistics.median(_time(_floats, weights) / _time(_ours, weights) for _ in range(rounds))


def _time(way: Callable[[list[Tensor]], Totals], weights: list[Tensor]) -> float:
    started = time.perf_counter()
    way(weights)
    return time.perf_counter() - started


def _parts(weights: list[Tensor], rounds: int) -> dict[str, float]:
    """Seconds that our way spends on each part, for all weights: medians."""
    rounds_of: dict[str, list[float]] = {}
    for _ in range(rounds):
        totals: dict[str, float] = {}
        for weight in weights:
            _follow(weight, _stopwatch(totals))
        for name, seconds in totals.items():
            rounds_of.setdefault(name, []).append(seconds)
    return {name: statistics.median(seconds) for name, seconds in rounds_of.items()}


def _stopwatch(totals: dict[str, float]) -> Callable[[str], None]:
    last = time.perf_counter()

    def done(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        totals[name] = totals.get(name, 0.0) + now - last
        last = now

    return done
