"""A tensor core of phase-change crossbars: every weight is the difference of two cells' transmissions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lightloom.chips import PCMChip, PCMErrors, PCMSpecimen, Specimen
from lightloom.chips.arguments import chip_of
from lightloom.chips.draws import ManyChips
from lightloom.chips.pcm.errors import draw
from lightloom.common.arguments import checked
from lightloom.common.errors import RequestError
from lightloom.nn.core import Mode, TensorCore
from lightloom.nn.inference import normal_tensors
from lightloom.nn.state_check import check_pcm_state
from lightloom.physics import blocks, pcm
from lightloom.physics.pcm import errors, penalty, quantise, schedule
from lightloom.physics.pcm.penalty import Penalty
from lightloom.physics.pcm.schedule import Schedule
from lightloom.physics.rounding import straight_through

_ROOM = 1.25  # a target reaches tanh(w / g) = 0.8 at most, where its slope is still 0.36


class PCMCore(TensorCore):
    """A weight matrix as levels of phase-change cells, turn after turn in one crossbar array per block row.

    A trained `matrix` [groups * rows, columns] stands behind the levels: with u = g tanh(matrix / g) and a = max |u|,
    the weight is a times the magnitude, of those that the cells can make, nearest to u / a (Zhu et al., ELight, ASP-DAC
    2022; published with g = 1). a and g are electronic gains. Gradients pass the rounding, and every imperfection,
    unchanged.

    Each array is a crossbar of k rows and k slots and is rewritten Q times per inference. Which matrix row an array row
    works for (`array_rows`), and which column sits in which slot at which turn (`turns`), is its schedule; it decides
    what is written, and which cell's errors a weight meets, but not what a perfect array computes.

    In mode "levels" the core is on the chip; in mode "weight" it is an electronic twin, the plain matrix.

    Args:
        chip: The hardware.
        rows: Rows of each group's matrix.
        columns: Columns of each group's matrix.
        groups: Number of matrices.
        name: Place on the chip.
    """

    modes: ClassVar[tuple[Mode, ...]] = ("levels", "weight")
    intensity: ClassVar[bool] = True
    dependencies: ClassVar[tuple[str, ...]] = ("matrix", "gain", "array_rows", "turns", "absorption", "stuck")
    chip: PCMChip
    matrix: nn.Parameter
    gain: Tensor
    array_rows: Tensor
    form: Tensor
    turns: Tensor | None
    absorption: Tensor | None
    stuck: Tensor | None

    @checked
    def __init__(self, chip: PCMChip, rows: int, columns: int, groups: int = 1, name: str = "core") -> None:
        chip = chip_of(chip, PCMChip)
        super().__init__(chip, rows, columns, groups, name)
        size = chip.block_size
        self.blocks = (groups, *blocks.grid(rows, columns, size))
        self.matrix = nn.Parameter(torch.zeros(groups * rows, columns))
        self.register_buffer("gain", torch.ones(()))
        self.register_buffer("array_rows", schedule.natural(*self.shape, size).rows)
        self.register_buffer("form", torch.tensor([size, chip.levels]))
        # how often the same columns are reordered is no part of the weights, nor are the devices' errors
        for field in ("turns", *PCMErrors._fields):
            self.register_buffer(field, None, persistent=False)
        self._levels_of: tuple[PCMChip, Tensor, Tensor] | None = None
        self.specimen: PCMSpecimen | None = None
        self.mode: Mode = "levels"
        self.penalty: Penalty | None = None
        """What to pay for writes in training; None is nothing."""
        self.paid: Tensor | None = None
        """The penalty of the last forward pass, a scalar with its gradient."""

    # what the light meets

    @property
    def device(self) -> torch.device:
        """The device that holds the matrix."""
        device: torch.device = self.own("matrix").device
        return device

    @property
    def table(self) -> Tensor:
        """Transmission of each level of a cell on the core's chip, [levels], float64."""
        return self._level_tables()[1]

    @property
    def magnitudes(self) -> Tensor:
        """Magnitude of each level of a weight, as a share of the largest, [levels]."""
        return self._level_tables()[2]

    def _level_tables(self) -> tuple[PCMChip, Tensor, Tensor]:
        """Made anew where the core has been given another chip."""
        stored = self._levels_of
        if stored is None or stored[0] is not self.chip:
            table = self.chip.table()
            stored = self._levels_of = self.chip, table, pcm.magnitudes(table)
        return stored

    def _build_weight(self) -> Tensor:
        aim = self.penalty if self.training and torch.is_grad_enabled() else None
        if aim is None:
            weight, levels = quantise.quantise(self.own("matrix"), self.magnitudes, self.own("gain"))
        else:
            weight, levels, self.paid = penalty.write(self.own("matrix"), self.magnitudes, aim, self.own("gain"))
        if self.perfect:
            return weight
        plan = self.schedule
        cells = PCMErrors(self.own("absorption"), self.own("stuck"))
        sequence = schedule.sequence(levels, plan)
        realised = errors.realise(sequence, self.table, cells, self.chip.noise(), dtype=weight.dtype)
        return straight_through(schedule.matrix(realised, plan, *self.own("matrix").shape) * self.scale(), weight)

    @checked
    @torch.no_grad()
    def specimen_weights(self, seeds: Sequence[int]) -> Tensor:
        """The effective matrices [S, groups * rows, columns] on many specimens, see `TensorCore`."""
        if self.mode == "weight":
            return self.matrix.detach().expand(len(seeds), -1, -1)
        arrays, chip, plan = len(self.array_rows), self.chip, self.schedule
        absorption, stuck = draw(chip, ManyChips(seeds), self.name, arrays)
        cells = PCMErrors(
            absorption=None if absorption is None else absorption.flatten(0, 1).to(self.matrix),
            stuck=None if stuck is None else stuck.flatten(0, 1).to(self.matrix.device),
        )
        laid = schedule.sequence(self.levels(), plan)
        side_by_side = laid.repeat(len(seeds), 1, 1, 1)  # the arrays of all specimens
        realised = errors.realise(side_by_side, self.table, cells, chip.noise(), dtype=self.matrix.dtype)
        parts = realised.view(len(seeds), *laid.shape)
        return torch.stack([schedule.matrix(part, plan, *self.matrix.shape) for part in parts]) * self.scale()

    @property
    def perfect(self) -> bool:
        """Whether every cell transmits just what its level says."""
        drifts = self.chip.drift_nu > 0 and self.chip.drift_time > 0
        return self.alike and not self.noisy and not drifts

    @property
    def alike(self) -> bool:
        """Whether one cell is like another, so that it does not matter which of them holds a weight."""
        return self.own("absorption") is None and self.own("stuck") is None

    @property
    def noisy(self) -> bool:
        """Whether transmissions change from one inference to the next: cells are rewritten in each."""
        chip = self.chip
        return chip.programming_std > 0 or chip.read_noise_std > 0 or chip.electronic_drift

    def scale(self) -> Tensor:
        """The electronic gain a behind the detectors: the weight that the highest level makes, a scalar."""
        matrix: Tensor = self.own("matrix").detach()
        gain: Tensor = self.own("gain").detach()
        return gain * torch.tanh(matrix.abs().max() / gain)

    def levels(self) -> Tensor:
        """Signed levels [groups * rows, columns], int8: what the controller asks of each pair of cells."""
        if self.noisy:
            return self._build_levels()
        levels: Tensor = self.cached("levels", ("matrix", "gain"), self._build_levels, context=self.chip)
        return levels.clone()

    def _build_levels(self) -> Tensor:
        return quantise.levels_of(self.own("matrix").detach(), self.magnitudes, self.own("gain"))

    def ideal_weight(self) -> Tensor:
        """The matrix that the levels make on perfect cells."""
        if self.mode == "weight":
            return self.matrix.detach()
        return pcm.from_levels(self.levels(), self.magnitudes.to(self.matrix)) * self.scale()

    # what the controller does

    @property
    def shape(self) -> tuple[int, int, int]:
        """Groups, and rows and columns of each."""
        return self.groups, self.rows, self.columns

    @property
    def schedule(self) -> Schedule:
        """The row and column of the matrix that each cell holds, turn by turn."""
        turns = self.natural.columns if self.turns is None else self.turns
        return Schedule(self.array_rows, turns.to(self.array_rows.device))

    @property
    def natural(self) -> Schedule:
        """Rows and columns as they come."""
        return schedule.natural(*self.shape, self.chip.block_size)

    def schedule_on_cpu(self) -> Schedule:
        """The same, where levels are counted."""
        return Schedule(*(tensor.cpu() for tensor in self.schedule))

    def place(self, plan: Schedule) -> None:
        """Follow another schedule from now on.

        Raises:
            ValueError: It leaves out a weight or has one twice.
        """
        schedule.check(plan, *self.shape)
        self.array_rows.copy_(plan.rows)
        as_it_comes = torch.equal(plan.columns.cpu(), self.natural.columns)
        self.turns = None if as_it_comes else plan.columns.to(self.array_rows.device)

    @torch.no_grad()
    def program(self, target: Tensor) -> None:
        """Choose the matrix whose levels are those nearest to `target` [groups * rows, columns].

        Raises:
            ValueError: The shape is another, or the target holds NaN or Inf.
        """
        self.check_target(target)
        if self.mode == "weight":
            self.matrix.copy_(target)
            return
        self.gain.fill_(max(1.0, _ROOM * float(target.abs().max())))
        self.matrix.copy_(self.gain * torch.atanh(target / self.gain))

    @normal_tensors()
    def install(self, specimen: Specimen | None) -> None:
        """Make the core of the cells at its place on `specimen`; None is a chip without hidden errors.

        Raises:
            RequestError: It is a specimen of other hardware.
        """
        self.check_specimen(specimen)
        assert specimen is None or isinstance(specimen, PCMSpecimen)  # as specimens of this chip are
        pcm_errors = PCMErrors()
        if specimen is not None:
            pcm_errors = specimen.pcm_errors(self.name, len(self.array_rows))
        self.absorption = None if pcm_errors.absorption is None else pcm_errors.absorption.to(self.matrix)
        self.stuck = None if pcm_errors.stuck is None else pcm_errors.stuck.to(self.matrix.device)
        self.specimen = specimen

    def restore(self) -> None:
        """Take columns as they come, and install the specimen again."""
        self.turns = None
        self.form.copy_(torch.tensor([self.chip.block_size, self.chip.levels]))
        self.array_rows.copy_(self.natural.rows)
        self.install(self.specimen)

    @normal_tensors()
    def switch(self, mode: Mode) -> None:
        """Choose what trains: the matrix behind the levels ("levels") or the plain one ("weight")."""
        self.check_mode(mode)
        if mode == self.mode:
            return
        weight = self.weight().detach().clone()
        self.mode = mode
        self.program(weight)

    def state(self) -> dict[str, Tensor]:
        """Signed levels (int8), their scale, and the row that each array row works for."""
        return {"levels": self.levels(), "scale": self.scale(), "array_rows": self.array_rows}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(f"{prefix}form")
        if saved is not None and not torch.equal(saved.cpu(), self.form.cpu()):
            size, levels = saved.tolist()
            raise RequestError(
                f"The weights of core `{self.name}` are for arrays of {size} x {size} cells with {levels} levels; the "
                f"chip `{self.chip.name}` has {self.chip.block_size} and {self.chip.levels}. Choose the chip that they "
                f"were made for, such as by `chip.block_size={size} chip.levels={levels}`."
            )
        check_pcm_state(self.name, state_dict, prefix, self.natural.columns, self.shape)
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Name, shape, arrays and mode, for printing a model."""
        groups, p, turns = self.blocks
        shape = f"{self.rows}x{self.columns}, arrays={groups * p}, turns={turns}, k={self.chip.block_size}"
        return f"{self.name!r}, {shape}, levels={self.chip.levels}, mode={self.mode}"
