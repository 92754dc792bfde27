"""One manufactured chip: the hidden error of each of its devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from lightloom.common.seeds import named_generator
from lightloom.physics import phases

if TYPE_CHECKING:
    from lightloom.chips.mesh import MeshChip


class MeshErrors(NamedTuple):
    """Errors of the devices of one tensor core's meshes; None where the chip has no such error.

    Shapes: gamma ratios and biases [..., n] for meshes of n phase shifters, `sigma_gamma` [..., k].
    """

    u_gamma: Tensor | None
    v_gamma: Tensor | None
    sigma_gamma: Tensor | None
    u_bias: Tensor | None
    v_bias: Tensor | None


class Specimen:
    """A manufactured chip. Every device of every layer has an error of its own, fixed by the seed and its place.

    Args:
        chip: What was manufactured.
        seed: Which one came off the line.
    """

    def __init__(self, chip: MeshChip, seed: int) -> None:
        self.chip = chip
        self.seed = seed

    def mesh_errors(self, core: str, blocks: tuple[int, ...], shifters: int) -> MeshErrors:
        """Errors of one tensor core; the same at every call, and independent between cores.

        Args:
            core: Name of the core, its place on the chip.
            blocks: Leading dimensions: how many blocks it has.
            shifters: Phase shifters per mesh.
        """
        chip = self.chip
        return MeshErrors(
            u_gamma=self._gamma_ratio((core, "u", "gamma"), (*blocks, shifters)),
            v_gamma=self._gamma_ratio((core, "v", "gamma"), (*blocks, shifters)),
            sigma_gamma=self._gamma_ratio((core, "sigma", "gamma"), (*blocks, chip.block_size)),
            u_bias=self._bias((core, "u", "bias"), (*blocks, shifters)),
            v_bias=self._bias((core, "v", "bias"), (*blocks, shifters)),
        )

    def _gamma_ratio(self, place: tuple[str, ...], shape: tuple[int, ...]) -> Tensor | None:
        if self.chip.gamma_std == 0:
            return None
        relative = self.chip.gamma_std / phases.gamma(self.chip.v_pi)
        return 1 + phases.truncated_noise(torch.empty(shape), relative, generator=self._generator(place))

    def _bias(self, place: tuple[str, ...], shape: tuple[int, ...]) -> Tensor | None:
        if self.chip.phase_bias == 0:
            return None
        return self.chip.phase_bias * torch.rand(shape, generator=self._generator(place))

    def _generator(self, place: tuple[str, ...]) -> torch.Generator:
        return named_generator(self.seed, "specimen", *place)
