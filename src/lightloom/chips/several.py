"""The hidden errors of many manufactured chips, drawn together: those of `Specimen`, to rounding."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lightloom.chips.mesh import MeshChip
from lightloom.chips.pcm import PCMChip
from lightloom.chips.specimen import HEALTHY, MeshErrors, PCMErrors
from lightloom.common.seeds import named_generator, named_seed
from lightloom.physics import batched_random, phases


def mesh_errors(chip: MeshChip, seeds: Sequence[int], core: str, blocks: tuple[int, ...], shifters: int) -> MeshErrors:
    """Errors [S, ...] of one tensor core on the specimens with these seeds, see `Specimen.mesh_errors`."""

    def gamma(side: str, devices: int) -> Tensor | None:
        if chip.gamma_std == 0:
            return None
        relative = chip.gamma_std / phases.gamma(chip.v_pi)
        return _deviations(seeds, (core, side, "gamma"), (*blocks, devices), relative)

    def bias(side: str) -> Tensor | None:
        if chip.phase_bias == 0:
            return None
        return _uniform(seeds, (core, side, "bias"), (*blocks, shifters)).mul_(chip.phase_bias)

    return MeshErrors(gamma("u", shifters), gamma("v", shifters), gamma("sigma", chip.block_size), bias("u"), bias("v"))


def pcm_errors(chip: PCMChip, seeds: Sequence[int], core: str, arrays: int) -> PCMErrors:
    """Errors [S, ...] of one tensor core on new specimens with these seeds, see `Specimen.pcm_errors`."""
    shape = (arrays, 2, chip.block_size, chip.block_size)
    absorption = stuck = None
    if chip.absorption_std > 0:
        absorption = _deviations(seeds, (core, "absorption"), shape, chip.absorption_std)
    if chip.stuck_fraction > 0:
        chosen = _uniform(seeds, (core, "stuck"), shape) < chip.stuck_fraction
        place = ("specimen", core, "stuck", "level")
        levels = [
            torch.randint(chip.levels, shape, generator=named_generator(seed, *place), dtype=torch.int8)
            for seed in seeds
        ]
        stuck = torch.where(chosen, torch.stack(levels), HEALTHY)
    return PCMErrors(absorption, stuck)


def _deviations(seeds: Sequence[int], place: tuple[str, ...], shape: tuple[int, ...], std: float) -> Tensor:
    """True over nominal values of devices at one place on each chip."""
    drawn = batched_random.truncated(_streams(seeds, place), torch.Size(shape).numel(), std)
    return drawn.add_(1).view(len(seeds), *shape)


def _uniform(seeds: Sequence[int], place: tuple[str, ...], shape: tuple[int, ...]) -> Tensor:
    return batched_random.uniform(_streams(seeds, place), torch.Size(shape).numel()).view(len(seeds), *shape)


def _streams(seeds: Sequence[int], place: tuple[str, ...]) -> list[int]:
    return [named_seed(seed, "specimen", *place) for seed in seeds]
