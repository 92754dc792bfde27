"""Its tensor core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from lightloom.chips import Specimen
from lightloom.common.seeds import named_generator
from lightloom.nn import Mode, TensorCore
from lightloom_toy.chip import ToyChip


class ToyCore(TensorCore):
    """A matrix, times a gain for each of its numbers, which a trim can take back."""

    modes: ClassVar[tuple[Mode, ...]] = ("analogue", "weight")
    intensity: ClassVar[bool] = False
    dependencies: ClassVar[tuple[str, ...]] = ("matrix", "trims", "gains")
    chip: ToyChip
    trims: Tensor
    gains: Tensor | None

    def __init__(self, chip: ToyChip, rows: int, columns: int, groups: int = 1, name: str = "core") -> None:
        super().__init__(chip, rows, columns, groups, name)
        size = chip.block_size
        self.blocks = (groups, -(-rows // size), -(-columns // size))
        self.matrix = nn.Parameter(torch.zeros(groups * rows, columns))
        self.register_buffer("trims", torch.ones(groups * rows, columns))
        self.register_buffer("gains", None, persistent=False)
        self.specimen: Specimen | None = None
        self.mode: Mode = "analogue"

    def _build_weight(self) -> Tensor:
        gains = self.own("gains")
        trimmed: Tensor = self.own("matrix") * self.own("trims")
        return trimmed if gains is None else trimmed * gains

    @property
    def device(self) -> torch.device:
        """Where the matrix is."""
        return self.matrix.device

    @property
    def noisy(self) -> bool:
        """Whether the gains change from use to use, which they do not."""
        return False

    def _gains(self, seed: int) -> Tensor:
        generator = named_generator(seed, "specimen", self.name, "gain")
        return 1 + self.chip.gain_std * torch.randn(self.matrix.shape, generator=generator)

    def specimen_weights(self, seeds: Sequence[int]) -> Tensor:
        """The matrices [S, groups * rows, columns] on many specimens."""
        matrix = self.matrix.detach()
        if self.mode == "weight":
            return matrix.expand(len(seeds), -1, -1)
        return torch.stack([matrix * self.trims * self._gains(seed).to(matrix) for seed in seeds])

    @torch.no_grad()
    def program(self, target: Tensor) -> None:
        """Set the matrix to `target` [groups * rows, columns]."""
        self.check_target(target)
        self.matrix.copy_(target)

    def ideal_weight(self) -> Tensor:
        """The matrix, every gain being 1."""
        return self.matrix.detach()

    def switch(self, mode: Mode) -> None:
        """Choose what trains; into and out of the electronic twin the effective matrix is carried over."""
        self.check_mode(mode)
        if mode != self.mode:
            effective = self.weight().detach().clone()
            self.mode = mode
            self.program(effective)

    def install(self, specimen: Specimen | None) -> None:
        """Take the gains of a specimen; None is gains of 1."""
        self.check_specimen(specimen)
        self.gains = None if specimen is None else self._gains(specimen.seed).to(self.matrix)
        self.specimen = specimen

    def restore(self) -> None:
        """Install the specimen again."""
        self.install(self.specimen)

    def state(self) -> dict[str, Tensor]:
        """The matrix that was asked for, and the trims."""
        return {"matrix": self.matrix.detach(), "trims": self.trims}
