"""The one interface between networks and technologies: a tensor core holds a weight matrix in light."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from lightloom.chips import MeshChip, Specimen

Mode = Literal["weight", "usv", "phase"]
"""What trains: the plain matrix (an electronic twin), the singular values, or every phase and singular value."""


class Counts(NamedTuple):
    """What one evaluation of a layer takes on its tensor cores."""

    cores: int
    """Tensor cores, one per block of the weight matrix."""
    mzis: int
    """MZIs in them, attenuators of the singular values included."""
    shifters: int
    """Phase shifters in them."""
    calls: int
    """Evaluations of one core with up to k input vectors (one per wavelength)."""
    conversions_in: int
    """Values sent through an input modulator; padding is sent nowhere."""
    conversions_out: int
    """Values read from a detector; the sums over block columns are electronic."""


class TensorCore(nn.Module, ABC):
    """The programmed state of one weight matrix, or of one per group, cut into k x k blocks.

    Args:
        chip: The hardware.
        rows: Rows of each group's matrix.
        columns: Columns of each group's matrix.
        groups: Number of matrices, as of a grouped convolution.
        name: Place on the chip; it decides which devices of a specimen the core is made of.
    """

    def __init__(self, chip: MeshChip, rows: int, columns: int, groups: int = 1, name: str = "core") -> None:
        super().__init__()
        if min(rows, columns, groups) < 1:
            raise ValueError(f"a tensor core needs at least one row, column and group, got {(rows, columns, groups)}")
        self.chip = chip
        self.rows = rows
        self.columns = columns
        self.groups = groups
        self.name = name

    @abstractmethod
    def weight(self) -> Tensor:
        """The effective matrix [groups * rows, columns], as the devices make it; differentiable in what trains."""

    @abstractmethod
    def program(self, target: Tensor) -> None:
        """Set the devices so that, were they perfect, `weight()` would be `target` [groups * rows, columns]."""

    @abstractmethod
    def install(self, specimen: Specimen | None) -> None:
        """Make the core of the devices of this specimen; None of devices without hidden errors."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """What the controller has asked of the devices, by name."""

    @abstractmethod
    def counts(self, vectors: int) -> Counts:
        """What it takes to multiply by `vectors` input vectors."""

    def error(self, target: Tensor) -> float:
        """||weight() - target||^2 / ||target||^2, padding left out; 0 / 0 is 0."""
        with torch.no_grad():
            distance = (self.weight() - target).square().sum()
            power = target.square().sum()
        return float(distance / power) if power > 0 else float(distance)

    def check_target(self, target: Tensor) -> None:
        """Refuse a matrix of another shape, or one that holds NaN or Inf.

        Raises:
            ValueError: It does; the core's name is given.
        """
        expected = (self.groups * self.rows, self.columns)
        if tuple(target.shape) != expected:
            raise ValueError(f"core `{self.name}` takes a matrix of shape {expected}, got {tuple(target.shape)}")
        if not torch.isfinite(target).all():
            bad = "NaN" if torch.isnan(target).any() else "Inf"
            raise ValueError(
                f"the weight for core `{self.name}` holds {bad}; a chip can be programmed to finite values"
            )
