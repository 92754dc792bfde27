"""How many evaluations per second a zeroth-order search gets, against the plain loop of the field's code.

The loop does what the published code does at every evaluation, in NumPy: take all phases of both meshes of all blocks
through wrapping, rounding, drive error, crosstalk on the checkerboard and bias, build U and V column by column, and
evaluate the loss. Both sides search the same blocks in the same order, in turns, on one thread, and must arrive at the
same losses. Times are the processor's for this process, so that other load on the machine counts for neither side.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lightloom.bench.kernels import ask_for_kernels
from lightloom.chips import MeshChip, preset
from lightloom.common.seeds import named_generator
from lightloom.lab.mesh.calibration import IdentityLoss
from lightloom.lab.mesh.calibration import published_plan as calibration_plan
from lightloom.lab.mesh.instrument import SimulatedInstrument
from lightloom.lab.mesh.mapping import MappingLoss, ideal_settings
from lightloom.lab.mesh.mapping import published_plan as mapping_plan
from lightloom.lab.zeroth_order import MeasuredLoss, SearchPlan, SearchResult, minimise
from lightloom.physics import compiled, mesh

Array = NDArray[np.float64]


def zeroth_order(seed: int = 0, blocks: int = 512, *, size: int = 9, repeats: int = 5) -> dict[str, Any]:
    """Measure one epoch of coordinate descent, for identity calibration (`ic`) and parallel mapping (`pm`).

    Running this asks for the compiled kernels: they are built where there is a C++ compiler.

    Args:
        seed: Of the specimen and the targets.
        blocks: Blocks at once.
        size: Waveguides k.
        repeats: Rounds, at most one epoch of the loop each; figures are medians of them.

    Returns:
        `ic_speedup` and `pm_speedup`, ratios of evaluations per second; `ic_evals_per_s` and `pm_evals_per_s`, ours;
        the loop's own, the largest difference between the losses, backend and threads.

    Raises:
        RuntimeError: The two sides disagree.
    """
    note = ask_for_kernels()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        chip = preset("l2ight", MeshChip).replace(block_size=size)
        errors = chip.specimen(seed).mesh_errors("bench", (blocks,), mesh.phase_count(size, chip.layout, chip.field))
        instrument = SimulatedInstrument(chip, errors, blocks)
        loop = LoopChip(chip, [None if error is None else error.double().numpy() for error in errors])
        figures = _calibration(instrument, loop, repeats) | _mapping(instrument, loop, repeats, seed)
    finally:
        torch.set_num_threads(threads)
    return {**figures, "blocks": blocks, "block_size": size, "backend": compiled.backend(), "note": note, "threads": 1}


def _calibration(instrument: SimulatedInstrument, loop: LoopChip, repeats: int) -> dict[str, float]:
    size, start = instrument.size, torch.zeros(instrument.blocks, 2 * instrument.shifters, dtype=torch.float64)
    sigma, unit = np.linspace(0.1, 1, size), np.eye(size)

    def loss(u: Array, v: Array) -> Array:
        product = (u * loop.sigma(np.broadcast_to(sigma, u.shape[:2]))[:, None]) @ (v / sigma)
        mean: Array = np.square(product - unit).mean(axis=(1, 2))
        return mean

    plan = calibration_plan(instrument.chip, epochs=1)
    return _compare("ic", IdentityLoss(instrument), loss, start, plan, loop, repeats)


def _mapping(instrument: SimulatedInstrument, loop: LoopChip, repeats: int, seed: int) -> dict[str, float]:
    shape = (instrument.blocks, instrument.size, instrument.size)
    targets = torch.randn(shape, generator=named_generator(seed, "targets"), dtype=torch.float64)
    settings, gain = ideal_settings(instrument.chip, targets)
    start = torch.cat([settings.u_phases, settings.v_phases], dim=1)
    sigma, matrices = loop.sigma(settings.sigma.numpy()) * gain.numpy()[:, None], targets.numpy()

    def loss(u: Array, v: Array) -> Array:
        mean: Array = np.square((u * sigma[:, None]) @ v - matrices).mean(axis=(1, 2))
        return mean

    objective = MappingLoss(instrument, targets, settings.sigma, gain)
    return _compare("pm", objective, loss, start, mapping_plan(instrument.chip, epochs=1), loop, repeats)


def _compare(
    name: str,
    objective: MeasuredLoss,
    loss: Callable[[Array, Array], Array],
    start: torch.Tensor,
    plan: SearchPlan,
    loop: LoopChip,
    repeats: int,
) -> dict[str, float]:
    rates: tuple[list[float], list[float]] = ([], [])
    minimise(objective, start, replace(plan, epochs=0), groups=2)  # whatever is loaded on first use
    for _ in range(repeats):
        began = time.process_time()
        result: SearchResult = minimise(objective, start, plan, groups=2)
        between = time.process_time()
        best, evaluations = loop_zcd(loop, loss, start.numpy(), plan)
        ended = time.process_time()
        rates[0].append(result.evaluations / (between - began))
        rates[1].append(evaluations / (ended - between))
        difference = np.abs(best - result.loss.numpy()).max()
        if not (difference < 1e-9 and evaluations == result.evaluations):
            raise RuntimeError(f"The loop and the search differ by {difference:.3g}: the figures would mean nothing.")
    return {
        f"{name}_speedup": round(median(ours / plain for ours, plain in zip(*rates, strict=True)), 2),
        f"{name}_evals_per_s": round(median(rates[0]), 1),
        f"{name}_loop_evals_per_s": round(median(rates[1]), 1),
    }


def loop_zcd(
    loop: LoopChip, loss: Callable[[Array, Array], Array], start: Array, plan: SearchPlan
) -> tuple[Array, int]:
    """One epoch of coordinate descent as the plain loop does it.

    Args:
        loop: The chip.
        loss: Losses [blocks] of the matrices of U and V.
        start: [blocks, 2 n] phases of both meshes, in rad.
        plan: Steps and order of the search.

    Returns:
        Best losses [blocks], and the number of evaluations.
    """
    phases, n = start.copy(), start.shape[1] // 2
    step = max(plan.steps.start, plan.steps.floor)
    order = list(range(n))
    if plan.shuffle:
        order = torch.randperm(n, generator=named_generator(plan.seed, "zeroth", "order", 0)).tolist()

    def evaluate() -> Array:
        return loss(loop.mesh(phases[:, :n], 0), loop.mesh(phases[:, n:], 1))

    current = evaluate()
    best, evaluations = current.copy(), 1
    for index in [*order, *(n + i for i in order)]:
        here = phases[:, index].copy()
        phases[:, index] = here + step
        up = evaluate() < current
        phases[:, index] = np.where(up, here + step, here - step)
        current = evaluate()
        best = np.minimum(best, current)
        evaluations += 2
    return best, evaluations


class LoopChip:
    """The published model of a chip, rebuilt whole at every use."""

    def __init__(self, chip: MeshChip, errors: list[Array | None]) -> None:
        self._chip, self._size = chip, chip.block_size
        self._gamma, self._bias = (errors[0], errors[1]), (errors[3], errors[4])
        self._sigma_gamma = errors[2]
        columns = mesh.wiring(chip.block_size, chip.layout).columns
        self._columns = [(column.first, column.count, column.start) for column in columns]
        places = mesh.heater_positions(chip.block_size, chip.layout, chip.field).numpy()
        self._rows, self._places = places[:, 0] + 2, places[:, 1] + 1

    def mesh(self, phases: Array, side: int) -> Array:
        """Matrices [blocks, k, k] of one mesh.

        Args:
            phases: [blocks, n] commanded phases, in rad.
            side: 0 for U, 1 for V.
        """
        chip, gamma, bias = self._chip, self._gamma[side], self._bias[side]
        phases = np.mod(phases, 2 * math.pi)
        if chip.weight_bits is not None:
            step = 2 * math.pi / (2**chip.weight_bits - 1)
            phases = np.round(phases / step) * step
        phases = phases if gamma is None else phases * gamma
        board = np.zeros((len(phases), self._size + 4, self._size + 2))
        board[:, self._rows, self._places] = phases
        inner = board[:, 2:-2, 1:-1]
        near = board[:, 4:, 1:-1] + board[:, :-4, 1:-1] + board[:, 3:-1, 2:] + board[:, 3:-1, :-2]
        near += board[:, 1:-3, 2:] + board[:, 1:-3, :-2]
        phases = (inner + chip.crosstalk * near)[:, self._rows - 2, self._places - 1]
        return self._build(phases if bias is None else phases + bias)

    def sigma(self, commanded: Array) -> Array:
        """What attenuators transmit that are asked for `commanded` [blocks, k]."""
        angle = np.arccos(commanded)
        if self._chip.weight_bits is not None:
            step = math.pi / (2**self._chip.weight_bits - 1)
            angle = np.round(angle / step) * step
        transmitted: Array = np.cos(angle if self._sigma_gamma is None else angle * self._sigma_gamma)
        return transmitted

    def _build(self, phases: Array) -> Array:
        cosine, sine = np.cos(phases)[:, :, None], np.sin(phases)[:, :, None]
        state = np.tile(np.eye(self._size), (len(phases), 1, 1))
        for first, count, start in self._columns:
            c, s = cosine[:, first : first + count], sine[:, first : first + count]
            upper, lower = state[:, start : start + 2 * count : 2], state[:, start + 1 : start + 2 * count : 2]
            turned = c * upper - s * lower
            state[:, start + 1 : start + 2 * count : 2] = s * upper + c * lower
            state[:, start : start + 2 * count : 2] = turned
        return state
