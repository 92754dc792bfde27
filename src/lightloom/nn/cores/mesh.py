"""A tensor core of Mach-Zehnder meshes: every block is U diag(sigma) V."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lightloom.chips import MeshChip, MeshErrors, Specimen
from lightloom.chips.arguments import chip_of
from lightloom.chips.draws import ManyChips
from lightloom.chips.mesh.errors import draw, imperfections
from lightloom.chips.mesh.specimen import MeshSpecimen
from lightloom.common.arguments import checked
from lightloom.nn.core import Mode
from lightloom.nn.inference import normal_tensors
from lightloom.nn.state_check import check_mesh_state
from lightloom.nn.subspace_core import SubspaceCore
from lightloom.physics import attenuators, blocks, mesh, phases
from lightloom.physics.blocks import singular

_SIDES = ("u", "v")
_ERRORS = tuple(name for name in MeshErrors._fields if name.startswith(_SIDES))
_MESHES = ("u_phases", "v_phases", "u_signs", *_ERRORS, "neighbours")
"""What decides U and V."""
_DENSE = 512
"""Phase shifters of a mesh up to which crosstalk of many specimens is fastest as a product with a matrix."""
_AT_ONCE = 1 << 20
"""Numbers of a weight that are decomposed together."""


class MeshCore(SubspaceCore):
    """A weight matrix as k x k blocks U diag(sigma) V, U and V made by meshes of MZIs and sigma by attenuators.

    The commanded settings are real numbers: `u_phases` and `v_phases` [groups, p, q, n] in rad, `sigma`
    [groups, p, q, k], signed. A real mesh has determinant +1 with phases alone; the signs that remain are flipped
    electronically: those of U at its detectors (`u_signs`), those of V inside sigma. Attenuators transmit sigma over
    the block's electronic gain, which is the largest |sigma|, or `gain` [groups, p, q] where that is more.

    In mode "usv" only sigma has a gradient, in "phase" all three, each through the imperfections of the chip. In
    mode "weight" the core is an electronic twin: a plain matrix, without physics, until it is switched back.

    Args:
        chip: The hardware.
        rows: Rows of each group's matrix.
        columns: Columns of each group's matrix.
        groups: Number of matrices.
        name: Place on the chip.
    """

    modes: ClassVar[tuple[Mode, ...]] = ("usv", "phase", "weight")
    intensity: ClassVar[bool] = False
    dependencies: ClassVar[tuple[str, ...]] = (*dict.fromkeys((*_MESHES, *MeshErrors._fields)), "sigma", "gain")
    chip: MeshChip
    u_phases: nn.Parameter
    v_phases: nn.Parameter
    sigma: nn.Parameter
    u_signs: Tensor | None
    gain: Tensor
    matrix: nn.Parameter | None
    neighbours: Tensor

    @checked
    def __init__(self, chip: MeshChip, rows: int, columns: int, groups: int = 1, name: str = "core") -> None:
        chip = chip_of(chip, MeshChip)
        super().__init__(chip, rows, columns, groups, name)
        size = chip.block_size
        self.shifters = mesh.phase_count(size, chip.layout, chip.field)
        self.blocks = (groups, *blocks.grid(rows, columns, size))
        self.u_phases = nn.Parameter(self._first_phases())
        self.v_phases = nn.Parameter(self._first_phases())
        self.sigma = nn.Parameter(torch.zeros(*self.blocks, size))
        self.register_buffer("gain", torch.zeros(self.blocks))
        self.register_parameter("matrix", None)
        self.register_buffer("u_signs", torch.ones(*self.blocks, size) if chip.field == "real" else None)
        neighbours = mesh.neighbours(size, chip.layout, chip.field)
        self.register_buffer("neighbours", neighbours.clone(), persistent=False)
        # errors belong to the hardware: they are never saved with the weights
        for field in MeshErrors._fields:
            self.register_buffer(field, None, persistent=False)
        self.specimen: MeshSpecimen | None = None
        self.mode: Mode = "usv"
        self._choose_gradients()

    def _first_phases(self) -> Tensor:
        """Zero, which is the identity; a mesh that cannot be programmed starts anywhere instead."""
        shape = (*self.blocks, self.shifters)
        universal = self.chip.layout in mesh.UNIVERSAL_LAYOUTS
        return torch.zeros(shape) if universal else phases.TWO_PI * torch.rand(shape)

    # what the light meets

    @property
    def device(self) -> torch.device:
        """The device that holds the phases."""
        device: torch.device = self.own("sigma").device
        return device

    @checked
    def specimen_weights(self, seeds: Sequence[int]) -> Tensor:
        """The effective matrices [S, groups * rows, columns] on many specimens, see `TensorCore`."""
        if self.matrix is not None:
            return self.matrix.detach().expand(len(seeds), -1, -1)
        errors = draw(self.chip, ManyChips(seeds), self.name, self.blocks, self.shifters)
        errors = errors.map(lambda error: error.to(self.sigma))
        u, v = (self._specimen_meshes(side, errors.of(side), len(seeds)) for side in _SIDES)
        sigma = self._attenuate(self.sigma.expand(len(seeds), *self.sigma.shape), errors.of("sigma"))
        # specimens stand side by side as the groups of one layer do
        u, v, sigma = u.flatten(0, 1), v.flatten(0, 1), sigma.flatten(0, 1)
        joined = blocks.assemble(u, sigma, v, self.rows, self.columns)
        joined = joined.real if joined.is_complex() else joined
        return joined.view(len(seeds), self.groups * self.rows, self.columns)

    def _specimen_meshes(self, side: str, errors: phases.Imperfections, count: int) -> Tensor:
        """[S, groups, p, q, k, k] of one side."""
        chip, warming = self.chip, None
        if self.shifters <= _DENSE:
            warming = mesh.warming_matrix(chip.block_size, chip.layout, chip.field).to(self.sigma)
        commanded = getattr(self, f"{side}_phases").detach()
        realised = phases.realise(commanded, chip.drive(self.neighbours, warming), errors, specimens=count)
        return self._build_mesh(realised, side)

    @property
    def noisy(self) -> bool:
        """Whether phases change from one use to the next."""
        return self.chip.phase_noise_std > 0

    def _build_weight(self) -> Tensor:
        u, v = self._cached_meshes()
        sigma = self.own("sigma")
        joined = blocks.assemble(
            u, sigma, v, self.rows, self.columns, realised=self._attenuate(sigma, self.imperfections("sigma"))
        )
        # a coherent receiver reads the part in phase with its local oscillator
        return joined.real if joined.is_complex() else joined

    def meshes(self) -> tuple[Tensor, Tensor]:
        """U and V [groups, p, q, k, k] as the devices make them; they are the caller's own."""
        u, v = self._cached_meshes()
        return (u, v) if u.requires_grad or v.requires_grad else (u.clone(), v.clone())

    def _cached_meshes(self) -> tuple[Tensor, Tensor]:
        """The same for reading only, stored while no phase changes."""
        if self.noisy:
            return self._build_meshes()
        meshes: tuple[Tensor, Tensor] = self.cached("meshes", _MESHES, self._build_meshes, context=self.chip)
        return meshes

    def _build_meshes(self) -> tuple[Tensor, Tensor]:
        u, v = (self._build_mesh(self._realise(side, self.own(f"{side}_phases")), side) for side in _SIDES)
        return u, v

    def _build_mesh(self, realised: Tensor, side: str, *, lossless: bool = False) -> Tensor:
        return mesh.build(
            realised,
            self.chip.block_size,
            layout=self.chip.layout,
            field=self.chip.field,
            signs=self.own("u_signs") if side == "u" else None,
            loss_db=0.0 if lossless else self.chip.insertion_loss_db,
        )

    def realised_phases(self, side: str) -> Tensor:
        """Phases [groups, p, q, n] in rad that light meets in the meshes of one side, "u" or "v"."""
        return self._realise(side, getattr(self, f"{side}_phases"))

    def _realise(self, side: str, commanded: Tensor) -> Tensor:
        return phases.realise(commanded, self.chip.drive(self.own("neighbours")), self.imperfections(side))

    def imperfections(self, part: str) -> phases.Imperfections:
        """What is wrong with the devices of one part, "u", "v" or "sigma", on the installed specimen."""
        return imperfections(part, self.own)

    def errors(self) -> MeshErrors:
        """Every hidden error of the installed specimen's devices, [groups, p, q, ...]."""
        return MeshErrors(*(self.own(name) for name in MeshErrors._fields))

    def realised_sigma(self) -> Tensor:
        """Singular values [groups, p, q, k] as the attenuators make them, detached."""
        return self._attenuate(self.sigma, self.imperfections("sigma"))

    def _attenuate(self, commanded: Tensor, errors: phases.Imperfections) -> Tensor:
        chip = self.chip
        return attenuators.attenuate(
            commanded.detach(),
            bits=chip.weight_bits,
            gamma_ratio=errors.gamma,
            noise_std=chip.phase_noise_std,
            least_gain=self.own("gain"),
        )

    def ideal_weight(self) -> Tensor:
        """The matrix that the commanded settings would make on perfect devices."""
        u, v = (self._build_mesh(getattr(self, f"{side}_phases"), side, lossless=True) for side in _SIDES)
        joined = blocks.from_blocks((u * self.sigma.unsqueeze(-2)) @ v, self.rows, self.columns)
        joined = joined.real if joined.is_complex() else joined
        return joined.reshape(self.groups * self.rows, self.columns)

    # what the controller does

    @torch.no_grad()
    def program(self, target: Tensor) -> None:
        """Set phases and singular values from the SVD of every block of `target` [groups * rows, columns].

        A layout that is not universal keeps its phases and takes the singular values nearest to the target.

        Raises:
            ValueError: The shape is another, or the target holds NaN or Inf.
        """
        self.check_target(target)
        if self.matrix is not None:
            self.matrix.copy_(target)
            return
        self.gain.zero_()
        pieces = blocks.to_blocks(target.reshape(self.groups, self.rows, self.columns), self.chip.block_size)
        if self.chip.layout not in mesh.UNIVERSAL_LAYOUTS:
            # of rank-one matrices u_i v_i, which are orthonormal, each takes its share of the target
            kind = torch.complex128 if self.chip.field == "complex" else torch.float64
            u, v = (tensor.to(kind) for tensor in self.meshes())
            self.sigma.copy_(((u.mH @ pieces.to(kind)) * v.conj()).sum(-1).real)
            return
        self._program_rows(pieces.flatten(0, 1))

    def _program_rows(self, pieces: Tensor) -> None:
        """Set the settings from rows of blocks [groups * p, q, k, k], some at a time, so that memory stays small."""
        settings = [tensor.flatten(0, 1) for tensor in (self.u_phases, self.sigma, self.v_phases)]
        u_signs = None if self.u_signs is None else self.u_signs.flatten(0, 1)
        step = max(1, _AT_ONCE // pieces[0].numel())
        for first in range(0, len(pieces), step):
            here = slice(first, first + step)
            u, sigma, v = singular.svd(pieces[here].double())
            u_made, v_made = (self._decompose(factor) for factor in (u, v))
            if u_signs is not None and u_made.signs is not None and v_made.signs is not None:
                u_signs[here] = u_made.signs
                sigma = sigma * v_made.signs
            for tensor, values in zip(settings, (u_made.phases, sigma, v_made.phases), strict=True):
                tensor[here] = values

    def _decompose(self, factor: Tensor) -> mesh.MeshPhases:
        wide = factor if self.chip.field == "real" else factor.to(torch.complex128)
        return mesh.decompose(wide, layout=self.chip.layout)

    @normal_tensors()
    def install(self, specimen: Specimen | None) -> None:
        """Make the core of the devices at its place on `specimen`; None is a chip without hidden errors.

        Raises:
            RequestError: It is a specimen of other hardware.
        """
        self.check_specimen(specimen)
        assert specimen is None or isinstance(specimen, MeshSpecimen)  # as specimens of this chip are
        errors = MeshErrors()
        if specimen is not None:
            errors = specimen.mesh_errors(self.name, self.blocks, self.shifters)
        for name, error in errors.map(lambda error: error.to(self.sigma))._asdict().items():
            setattr(self, name, error)
        self.specimen = specimen

    def restore(self) -> None:
        """Look up which heaters warm each other, and install the specimen again."""
        neighbours = mesh.neighbours(self.chip.block_size, self.chip.layout, self.chip.field)
        self.neighbours = neighbours.to(self.device)
        self.install(self.specimen)

    @normal_tensors()
    def switch(self, mode: Mode) -> None:
        """Choose what trains: singular values ("usv"), every phase as well ("phase"), or the plain matrix."""
        self.check_mode(mode)
        if mode == "weight" and self.matrix is None:
            self.matrix = nn.Parameter(self.weight().detach().clone())
        elif mode != "weight" and self.matrix is not None:
            matrix, self.matrix = self.matrix.detach(), None
            self.program(matrix)
        self.mode = mode
        self._choose_gradients()

    def _choose_gradients(self) -> None:
        self.u_phases.requires_grad_(self.mode == "phase")
        self.v_phases.requires_grad_(self.mode == "phase")
        self.sigma.requires_grad_(self.mode != "weight")

    def state(self) -> dict[str, Tensor]:
        """Commanded phases (rad), singular values and output signs, detached."""
        names = ("u_phases", "v_phases", "sigma", "u_signs", "gain")
        tensors = {name: getattr(self, name) for name in names}
        return {name: tensor.detach() for name, tensor in tensors.items() if tensor is not None}

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        check_mesh_state(self.name, state_dict, prefix, trains=self.mode == "phase")
        super()._load_from_state_dict(state_dict, prefix, *args)

    def extra_repr(self) -> str:
        """Name, shape, blocks and mode, for printing a model."""
        grid = "x".join(map(str, self.blocks))
        return f"{self.name!r}, {self.rows}x{self.columns}, blocks={grid}, k={self.chip.block_size}, mode={self.mode}"
