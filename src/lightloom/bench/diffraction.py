"""Claim: a diffractive layer trains many times faster, in a fraction of the memory, than computed as published."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from lightloom.bench.measure import medians, peak_of_child, report_rise
from lightloom.chips import DiffractiveChip
from lightloom.nn.diffractive import DiffractiveConv2d, Mixing

_BATCH = 2
WAYS = ("published", "dense", "depthwise")
"""What is measured."""


class Case(NamedTuple):
    """A layer that is measured."""

    channels: int
    """Channels that enter, and as many that leave."""
    grid: int
    """M."""
    mask: int
    """N, and the samples of a map along each side."""


CASES = {"": Case(16, 40, 20), "wide_": Case(32, 32, 16)}
"""Cases by the prefix of their figures: two masks, on the published detector's wavelength, pixels and distances."""


def diffraction(*, seed: int = 0, rounds: int = 9) -> dict[str, Any]:
    """Time and peak memory of diffractive layers, forward and backward, against the published way of computing them.

    16 -> 16 channels on a grid of M = 40 with masks of N = 20 and, as `wide_...`, 32 -> 32 with M = 32 and N = 16, both
    with batch 2, K = 2 and maps of N x N. The published way (PHOENIX) builds the transfer function in each propagation
    for every image and pair of channels, and propagates every input to the first masks once per output.

    `dense_speedup` and `dense_memory_ratio` are of the dense layer, which computes the same to `dense_error` (relative,
    of the output in float32; `published_error` is that of the published way); `depthwise_speedup` and
    `depthwise_memory_ratio` of one with a path per input instead of one per pair. Memory is how far a step raises the
    highest resident memory of a fresh process. `odd_error` is of a dense layer with maps of 9 x 14 on a grid of 27.
    All work on one thread: threads that wait for each other would measure what else the machine does.

    Args:
        seed: Of parameters and inputs.
        rounds: Turns of each way, taken alternately and about as long as each other; ratios are those of medians.

    Raises:
        WorkError: A process that measures memory fails.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _figures(seed, rounds)
    finally:
        torch.set_num_threads(threads)


def _figures(seed: int, rounds: int) -> dict[str, Any]:
    torch.manual_seed(seed)
    results: dict[str, Any] = {}
    for prefix, case in CASES.items():
        results |= {prefix + name: value for name, value in _compare(case, rounds, seed).items()}
    odd = DiffractiveConv2d(3, 4, _chip(Case(3, 27, 12)), check="ignore")
    results["odd_error"] = _error(odd, torch.rand(_BATCH, 3, 9, 14), odd)
    return {**results, "threads": torch.get_num_threads(), "torch": str(torch.__version__)}


def published(x: Tensor, turns: Tensor, weight: Tensor, chip: DiffractiveChip) -> Tensor:
    """The layer [batch, in, h, w] -> [batch, out, h, w] as it was published, for grids of an even size.

    Args:
        x: Real fields.
        turns: [out, in, K, N, N].
        weight: [out, in].
        chip: Grid, distances and wavelength; intensities are detected.
    """
    h, w = x.shape[-2:]
    field = _centred(x, chip.grid).unsqueeze(1).expand(-1, len(turns), -1, -1, -1)
    field = _propagate(field, chip.distance_in, chip)
    for phases in turns.unbind(2):
        field = field * torch.exp(2j * math.pi * _centred(phases, chip.grid))
        field = _propagate(field, chip.distance, chip)
    top, left = chip.grid // 2 - h // 2, chip.grid // 2 - w // 2
    intensity = field[..., top : top + h, left : left + w].abs().square()
    mixed: Tensor = (intensity * weight[:, :, None, None]).sum(2)
    return mixed


def _propagate(field: Tensor, distance: float, chip: DiffractiveChip) -> Tensor:
    axes = (-2, -1)
    spectrum = torch.fft.fft2(torch.fft.fftshift(field, axes))
    spectrum = spectrum * torch.fft.fftshift(_transfer(field, distance, chip), axes)
    propagated: Tensor = torch.fft.ifftshift(torch.fft.ifft2(spectrum), axes)
    return propagated


def _transfer(field: Tensor, distance: float, chip: DiffractiveChip) -> Tensor:
    """The published transfer function, as large as the field."""
    highest, step = 1 / (2 * chip.pixel), 1 / (chip.grid * chip.pixel)
    precision = torch.float64 if field.dtype in (torch.float64, torch.complex128) else torch.float32
    line = torch.linspace(-highest, highest - step, chip.grid, dtype=precision)
    fy, fx = (f.repeat(*field.shape[:-2], 1, 1) for f in torch.meshgrid(line, line, indexing="ij"))
    root = 1 - (chip.wavelength * fx).square() - (chip.wavelength * fy).square()
    wave = torch.exp(2j * math.pi * distance / chip.wavelength * root.clamp(min=0).sqrt())
    return wave * (root >= 0)


def _centred(x: Tensor, size: int) -> Tensor:
    h, w = x.shape[-2:]
    top, left = size // 2 - h // 2, size // 2 - w // 2
    return pad(x, (left, size - w - left, top, size - h - top))


def _chip(case: Case) -> DiffractiveChip:
    return DiffractiveChip(name="bench", grid=case.grid, mask=case.mask, layers=2)


def _compare(case: Case, rounds: int, seed: int) -> dict[str, float]:
    memory = {way: peak_of_child("diffraction", way, seed, *case) for way in WAYS}
    layer = DiffractiveConv2d(case.channels, case.channels, _chip(case), check="ignore")
    x = torch.rand(_BATCH, case.channels, case.mask, case.mask)
    seconds = medians({way: _step(case, way) for way in WAYS}, rounds)
    figures = {
        "dense_error": _error(layer, x, layer),
        "published_error": _error(lambda x: published(x, layer.turns, layer.weight, layer.chip), x, layer),
    }
    for way in ("dense", "depthwise"):
        figures[f"{way}_speedup"] = round(seconds["published"] / seconds[way], 2)
        figures[f"{way}_memory_ratio"] = round(memory[way] / memory["published"], 4)
    return figures


def _step(case: Case, way: str) -> Callable[[], None]:
    """Forward and backward, on inputs and parameters drawn here."""
    chip = _chip(case)
    mixing: Mixing = "depthwise" if way == "depthwise" else "dense"
    layer = DiffractiveConv2d(case.channels, case.channels, chip, mixing=mixing, check="ignore")
    x = torch.rand(_BATCH, case.channels, case.mask, case.mask, requires_grad=True)
    upstream = torch.randn_like(x)

    def step() -> None:
        y = published(x, layer.turns, layer.weight, chip) if way == "published" else layer(x)
        torch.autograd.grad(y, (x, layer.turns, layer.weight), upstream)

    return step


def report_peak(way: str, *numbers: str) -> None:
    """What a child process does: write how far a step raises the process's highest resident memory.

    Args:
        way: One of `WAYS`.
        *numbers: The seed, and the numbers of a `Case`.
    """
    torch.set_num_threads(1)
    seed, *sizes = map(int, numbers)
    torch.manual_seed(seed)
    _step(Case(2, 8, 4), way)()  # code and tables are loaded, and counted before
    report_rise(_step(Case(*sizes), way))


@torch.no_grad()
def _error(output: Callable[[Tensor], Tensor], x: Tensor, layer: DiffractiveConv2d) -> float:
    """Largest difference from the light of every plane written out in float64, over the largest output."""
    exact = DiffractiveConv2d(layer.in_channels, layer.out_channels, layer.chip, check="ignore").double()
    exact.load_state_dict(layer.state_dict())
    h, w = x.shape[-2:]
    top, left = layer.chip.grid // 2 - h // 2, layer.chip.grid // 2 - w // 2
    light = exact.fields(x.double(), exact.optical_paths)[-1, :, :, top : top + h, left : left + w]
    truth = (light.reshape(len(x), *exact.weight.shape, h, w) * exact.weight[:, :, None, None]).sum(2)
    return float(f"{float((output(x) - truth).abs().max() / truth.abs().max()):.1e}")
