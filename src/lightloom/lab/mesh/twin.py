"""A model of one chip that says what its blocks make of any settings: its devices as an experimenter knows them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from lightloom.chips import MeshChip
from lightloom.chips.mesh.errors import imperfections
from lightloom.lab.mesh.instrument import BlockSettings
from lightloom.physics import mesh, phases, rounding
from lightloom.physics.phases import Drive, Imperfections


@dataclass(frozen=True)
class DigitalTwin:
    """The devices of a batch of blocks, each U diag(sigma) V; the physics is the chip's own, the numbers are beliefs.

    A phase is realised as gamma x drive + crosstalk + bias. The biases of U and V hold the signs of a block's modes
    only together: (U D)(D V) with D of +1 and -1 is the same block, and no measurement tells the two apart.
    """

    chip: MeshChip
    """The design."""
    u_bias: Tensor
    """[blocks, n], rad."""
    v_bias: Tensor
    """[blocks, n], rad."""
    u_gamma: Tensor
    """[blocks, n], true over nominal drive coefficient."""
    v_gamma: Tensor
    """[blocks, n], true over nominal drive coefficient."""
    sigma_gamma: Tensor
    """[blocks, k], the same for the attenuators."""
    coupling: Tensor
    """[blocks, 1], share of a heater's phase that each neighbour receives."""

    @staticmethod
    def nominal(chip: MeshChip, blocks: int) -> DigitalTwin:
        """Perfect devices without bias or crosstalk, the knowledge before any measurement.

        Args:
            chip: The design.
            blocks: How many blocks there are.
        """
        shifters = mesh.phase_count(chip.block_size, chip.layout, chip.field)
        zeros = torch.zeros(blocks, shifters, dtype=torch.float64)
        ones = torch.ones_like(zeros)
        attenuators = torch.ones(blocks, chip.block_size, dtype=torch.float64)
        return DigitalTwin(chip, zeros, zeros, ones, ones, attenuators, torch.zeros(blocks, 1, dtype=torch.float64))

    @property
    def blocks(self) -> int:
        """How many blocks."""
        return len(self.u_bias)

    def phases(self, settings: BlockSettings) -> tuple[Tensor, Tensor]:
        """Realised phases of U and V, each [..., blocks, n] in rad, for settings [..., blocks, n]."""
        u, v = (settings.u_phases, self.imperfections("u")), (settings.v_phases, self.imperfections("v"))
        return phases.realise(u[0], self._drive(), u[1]), phases.realise(v[0], self._drive(), v[1])

    def imperfections(self, side: str) -> Imperfections:
        """What is believed to be wrong with the phase shifters of one side, "u" or "v"."""
        return imperfections(side, lambda name: getattr(self, name, None))

    def _drive(self) -> Drive:
        """The drive of the chip, with the crosstalk that is believed and without noise."""
        chip = self.chip
        near = mesh.neighbours(chip.block_size, chip.layout, chip.field)
        return chip.drive(near)._replace(coupling=self.coupling, noise_std=0.0)

    def meshes(self, settings: BlockSettings) -> tuple[Tensor, Tensor]:
        """U and V, each [..., blocks, k, k]."""
        u, v = self.phases(settings)
        return self.build(u), self.build(v)

    def sigma(self, settings: BlockSettings) -> Tensor:
        """Transmissions that the attenuators realise, [..., blocks, k]."""
        return (attenuation(settings.sigma, self.chip) * self.sigma_gamma).cos()

    def matrices(self, settings: BlockSettings) -> Tensor:
        """What the blocks make of `settings`, [..., blocks, k, k]."""
        u, v = self.meshes(settings)
        return (u * self.sigma(settings).unsqueeze(-2)) @ v

    def build(self, realised: Tensor) -> Tensor:
        """The matrix [..., k, k] of realised phases [..., n], with the chip's nominal loss."""
        chip = self.chip
        return mesh.build(
            realised, chip.block_size, layout=chip.layout, field=chip.field, loss_db=chip.insertion_loss_db
        )

    def neighbour_heat(self, heat: Tensor) -> Tensor:
        """The sum of the heat of each heater's neighbours, [..., n] for [..., n]."""
        chip = self.chip
        near = mesh.neighbours(chip.block_size, chip.layout, chip.field)
        return phases.neighbour_heat(heat, near)

    def select(self, blocks: Tensor) -> DigitalTwin:
        """The twin of some of the blocks, by index or mask."""
        parts = (self.u_bias, self.v_bias, self.u_gamma, self.v_gamma, self.sigma_gamma, self.coupling)
        return DigitalTwin(self.chip, *(part[blocks] for part in parts))

    def realised(self, driven: Tensor, faults: Imperfections) -> Tensor:
        """The phases [..., blocks, n] in rad of one mesh.

        Args:
            driven: [..., blocks, n], the nominal phases that its drive gives, on levels or not.
            faults: What is wrong with its phase shifters.
        """
        return phases.spread(phases.heat(driven, faults), self._drive(), faults)


def drive(commanded: Tensor, chip: MeshChip) -> Tensor:
    """The nominal phases that the drive makes of what is asked for: wrapped and rounded to its levels.

    Args:
        commanded: [..., n] in rad.
        chip: The design.
    """
    return phases.driven(commanded, chip.drive())


def rounded(heat: Tensor, chip: MeshChip) -> Tensor:
    """The nearest levels of the drive, for nominal phases in [0, 2 pi].

    Args:
        heat: [..., n] in rad.
        chip: The design.
    """
    if chip.dac == "voltage":
        return phases.quantise_voltage(heat, chip.weight_bits)
    return rounding.quantise(heat, chip.weight_bits, span=2 * math.pi)


def attenuation(sigma: Tensor, chip: MeshChip) -> Tensor:
    """The nominal angle in [0, pi] whose cosine an attenuator transmits, rounded to its levels.

    Args:
        sigma: [..., k], transmissions that are asked for, in [-1, 1].
        chip: The design.
    """
    return rounding.quantise(sigma.clamp(-1, 1).acos(), chip.weight_bits, span=math.pi)
