"""The one interface between networks and technologies: a tensor core holds a weight matrix in light."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightloom.chips import Chip, Specimen
from lightloom.common.arguments import checked
from lightloom.common.checks import shown
from lightloom.nn.cache import CachingModule
from lightloom.nn.counts import Counts, counts_of
from lightloom.nn.specimen_check import require_specimen

Mode = str
"""What trains, one of the `modes` of a core. On every technology "weight" is the plain matrix, an electronic twin; what
else there is depends on the technology, such as "usv", the singular values of meshes."""


class TensorCore(CachingModule, ABC):
    """The programmed state of one weight matrix, or of one per group, cut into k x k blocks.

    Args:
        chip: The hardware.
        rows: Rows of each group's matrix.
        columns: Columns of each group's matrix.
        groups: Number of matrices, as of a grouped convolution.
        name: Place on the chip; it decides which devices of a specimen the core is made of.
    """

    modes: ClassVar[tuple[Mode, ...]]
    """What can train; the first is the usual one, "weight" the electronic twin."""
    mode: Mode
    specimen: Specimen | None
    """The manufactured chip that it is on; None is one without hidden errors."""
    matrix: Any
    """The plain matrix [groups * rows, columns], in mode "weight"."""
    blocks: tuple[int, int, int]
    """(groups, p, q): how many k x k blocks hold the weight."""
    intensity: ClassVar[bool]
    """Whether an input is the power of light, so that a negative one takes a pass of its own, not its amplitude."""

    def __init__(self, chip: Chip, rows: int, columns: int, groups: int = 1, name: str = "core") -> None:
        super().__init__()
        if min(rows, columns, groups) < 1:
            raise ValueError(f"a tensor core needs at least one row, column and group, got {(rows, columns, groups)}")
        self.chip = chip
        self.rows = rows
        self.columns = columns
        self.groups = groups
        self.name = name

    def weight(self) -> Tensor:
        """The effective matrix [groups * rows, columns], as the devices make it; differentiable in what trains.

        It is the caller's own: changing it changes nothing here. In mode "weight" it is the parameter that trains.
        """
        weight = self.cached_weight()
        return weight if self.mode == "weight" or weight.requires_grad else weight.clone()

    def cached_weight(self) -> Tensor:
        """The matrix of `weight()`, for reading only: it may be the tensor that later calls get as well."""
        if self.mode == "weight":
            matrix: Tensor = self.matrix
            return matrix
        if self.noisy:
            return self._in_full_precision()
        weight: Tensor = self.cached("weight", self.dependencies, self._in_full_precision, context=self.chip)
        return weight

    def _in_full_precision(self) -> Tensor:
        """Phases need more digits than half precision has."""
        if self.device.type == "meta" or not torch.is_autocast_enabled(self.device.type):
            return self._build_weight()
        with torch.autocast(self.device.type, enabled=False):
            return self._build_weight()

    @abstractmethod
    def _build_weight(self) -> Tensor:
        """The effective matrix, differentiable in what trains, of tensors that are read by `own`."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """The device that the settings are on."""

    dependencies: ClassVar[tuple[str, ...]]
    """Names of all parameters and buffers that decide the effective matrix."""

    @abstractmethod
    def specimen_weights(self, seeds: Sequence[int]) -> Tensor:
        """The effective matrices [S, groups * rows, columns] on the specimens of the core's chip with these seeds.

        They are those of `install` and `weight`, one specimen after the other, to rounding, but made together and
        without a gradient; the core stays as it is. Dynamic noise is drawn once for each specimen.
        """

    @abstractmethod
    def program(self, target: Tensor) -> None:
        """Set the devices so that, were they perfect, `weight()` would be `target` [groups * rows, columns]."""

    @abstractmethod
    def ideal_weight(self) -> Tensor:
        """The matrix [groups * rows, columns] that the present settings would make on perfect devices."""

    @abstractmethod
    def switch(self, mode: Mode) -> None:
        """Choose what trains, one of `modes`; into and out of "weight" the effective matrix is carried over.

        Raises:
            ValueError: The core has no such mode.
        """

    @abstractmethod
    def install(self, specimen: Specimen | None) -> None:
        """Make the core of the devices of this specimen; None of devices without hidden errors.

        Raises:
            RequestError: It is a specimen of other hardware, see `check_specimen`.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """What the controller has asked of the devices, by name."""

    def counts(self, vectors: int) -> Counts:
        """What it takes to multiply by `vectors` input vectors."""
        return counts_of(self.chip, self.rows, self.columns, self.groups, vectors)

    @checked
    def error(self, target: Tensor) -> float:
        """||weight() - target||^2 / ||target||^2, padding left out; 0 / 0 is 0."""
        with torch.no_grad():
            distance = (self.weight() - target).square().sum()
            power = target.square().sum()
        return float(distance / power) if power > 0 else float(distance)

    def check_mode(self, mode: Mode) -> None:
        """Refuse a mode of another technology. Raises `ValueError`."""
        if mode not in self.modes:
            modes = ", ".join(f"`{name}`" for name in self.modes)
            request = f"`{mode}`" if isinstance(mode, str) else shown(mode)
            raise ValueError(f"core `{self.name}` has the modes {modes}, got {request}")

    def check_specimen(self, specimen: Specimen | None) -> None:
        """Refuse a specimen of other hardware than the core's. Raises `RequestError`."""
        if specimen is not None:
            require_specimen(specimen, self.chip, self.name)

    def check_target(self, target: Tensor) -> None:
        """Refuse a matrix of another shape, or one that holds NaN or Inf.

        Raises:
            ValueError: It does; the core's name is given.
        """
        expected = (self.groups * self.rows, self.columns)
        if not isinstance(target, Tensor):
            raise ValueError(f"core `{self.name}` takes a matrix of shape {expected}, got {shown(target)}")
        if tuple(target.shape) != expected:
            raise ValueError(f"core `{self.name}` takes a matrix of shape {expected}, got {tuple(target.shape)}")
        if not torch.isfinite(target).all():
            bad = "NaN" if torch.isnan(target).any() else "Inf"
            raise ValueError(
                f"the weight for core `{self.name}` holds {bad}; a chip can be programmed to finite values"
            )

    # what was computed stays while nothing changed

    @property
    @abstractmethod
    def noisy(self) -> bool:
        """Whether the devices differ from one use to the next, so that nothing can be cached."""

    @abstractmethod
    def restore(self) -> None:
        """Make again what is no part of the weights, on a core that was without memory: devices and their wiring."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TensorCore:
        without_memory = self.device.type == "meta"
        super()._apply(fn, recurse)
        if without_memory and self.device.type != "meta":
            self.restore()
        return self

    def version(self) -> tuple[int, ...]:
        """A number for each of `dependencies`, which is another one as soon as a value is another."""
        return self._numbers(self.dependencies, self._suspects(self.dependencies))
