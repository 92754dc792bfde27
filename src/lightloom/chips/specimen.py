"""One manufactured chip: the hidden error of each of its devices, and what use has done to them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast

import torch
from torch import Tensor

from lightloom.common.arguments import checked
from lightloom.common.checks import seed_number, shown
from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_generator
from lightloom.physics import phases

if TYPE_CHECKING:
    from lightloom.chips.base import Chip
    from lightloom.chips.mesh import MeshChip
    from lightloom.chips.pcm import PCMChip

HEALTHY = -1
"""In `PCMErrors.stuck`: the cell switches."""
# a seed names the same chip whatever torch's defaults are
_KIND: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}


class MeshErrors(NamedTuple):
    """Errors of the devices of one tensor core's meshes; None where the chip has no such error.

    Shapes: gamma ratios and biases [..., n] for meshes of n phase shifters, `sigma_gamma` [..., k].
    """

    u_gamma: Tensor | None
    v_gamma: Tensor | None
    sigma_gamma: Tensor | None
    u_bias: Tensor | None
    v_bias: Tensor | None


class PCMErrors(NamedTuple):
    """Errors of the cells of one tensor core's A arrays; None where the chip has no such error.

    Shapes: [A, 2, k, k], the positive cells first, then row and slot.
    """

    absorption: Tensor | None
    """Absorption per step over the nominal one: a cell transmits t^absorption where it should transmit t."""
    stuck: Tensor | None
    """int8: crystallised steps n at which a cell is stuck, `HEALTHY` where it switches."""


class Aged(NamedTuple):
    """What `Specimen.aged` returns."""

    specimen: Specimen
    """The same chip after its use."""
    dead: int
    """Cells that stopped switching meanwhile."""
    first_failure: float
    """Inferences until the first of the cells that still switched fails, even where that is later; inf if never."""


class Specimen:
    """A manufactured chip. Every device of every layer has an error of its own, fixed by the seed and its place.

    Args:
        chip: What was manufactured.
        seed: Which one came off the line; any kind of integer, from 0 to 2^63 - 1.

    Raises:
        RequestError: The seed is no such number.
    """

    purpose: ClassVar[str] = (
        "a specimen, one manufactured chip: its design is `specimen.chip`, and `nn.install(model, specimen)` moves a "
        "converted model onto it"
    )
    """What it is for, where something else was wanted."""

    @checked
    def __init__(self, chip: Chip, seed: int) -> None:
        if not hasattr(chip, "block_size"):
            raise RequestError(f"`chip` is {shown(chip)}; a specimen is one of a chip with tensor cores.")
        self.chip = chip
        self.seed = seed_number(seed, mend=f"It numbers the manufactured chips of `{chip.name}`: `chip.specimen(0)`.")
        self._cycles: dict[str, Tensor] = {}  # spent by each cell, float64
        self._worn: dict[str, Tensor] = {}  # like `PCMErrors.stuck`, of cells that use has stuck

    @property
    def alike(self) -> bool:
        """Whether all unused specimens of the chip are one: every field of its `hidden_errors` is 0."""
        return not any(getattr(self.chip, field) for field in self.chip.hidden_errors)

    @checked
    def mesh_errors(self, core: str, blocks: tuple[int, ...], shifters: int) -> MeshErrors:
        """Errors of one tensor core; the same at every call, and independent between cores.

        Args:
            core: Name of the core, its place on the chip.
            blocks: Leading dimensions: how many blocks it has.
            shifters: Phase shifters per mesh.

        Raises:
            TypeError: The chip has no meshes.
        """
        if self.chip.technology != "mesh":
            named = self.chip.technology
            raise TypeError(f"a {named} chip has no meshes; ask for its `{named}_errors`")
        chip = cast("MeshChip", self.chip)
        return MeshErrors(
            u_gamma=self._gamma_ratio(chip, (core, "u", "gamma"), (*blocks, shifters)),
            v_gamma=self._gamma_ratio(chip, (core, "v", "gamma"), (*blocks, shifters)),
            sigma_gamma=self._gamma_ratio(chip, (core, "sigma", "gamma"), (*blocks, chip.block_size)),
            u_bias=self._bias(chip, (core, "u", "bias"), (*blocks, shifters)),
            v_bias=self._bias(chip, (core, "v", "bias"), (*blocks, shifters)),
        )

    @checked
    def pcm_errors(self, core: str, arrays: int) -> PCMErrors:
        """Errors of one tensor core; the same at every call, and independent between cores.

        Args:
            core: Name of the core, its place on the chip.
            arrays: How many arrays A it has.

        Raises:
            TypeError: The chip has no phase-change cells.
            ValueError: The core has aged with another number of arrays.
        """
        chip = self._pcm()
        shape = self._cells(core, arrays)
        stuck = self._stuck(chip, core, shape)
        worn = self._worn.get(core)
        if worn is not None:
            stuck = worn if stuck is None else torch.where(stuck == HEALTHY, worn, stuck)
        return PCMErrors(self._absorption(chip, core, shape), stuck)

    @checked
    def aged(self, wear: Mapping[str, Tensor], inferences: float, *, endurance_spread: float = 0.3) -> Aged:
        """This chip after some more inferences. A cell that has spent its endurance is stuck from then on.

        Endurance is lognormal between cells around the chip's constant, its median. One write counts as one cycle,
        which is on the safe side: a cycle of the sources writes a cell up and down. At its end a cell is stuck at any
        of its levels, with equal chance.

        Args:
            wear: Writes per inference of each cell [A, 2, k, k], by name of the core.
            inferences: How many more, at least 0.
            endurance_spread: Standard deviation of the endurance's logarithm. No source measures it for photonic
                cells; the default is an assumption. 0 gives all cells the same.

        Raises:
            TypeError: The chip has no phase-change cells.
            ValueError: A wear is negative or not of that shape, or `inferences` or the spread is negative.
        """
        chip = self._pcm()
        if not (inferences >= 0 and endurance_spread >= 0):
            raise ValueError(f"{inferences} inferences, spread {endurance_spread}; neither may be below 0")
        later = Specimen(chip, self.seed)
        later._cycles, later._worn = dict(self._cycles), dict(self._worn)
        dead, first = 0, math.inf
        for core, given in wear.items():
            rate = self._rate(core, given)
            left = self._left(chip, core, rate, endurance_spread)
            failed = left <= inferences
            dead += int(failed.sum())
            first = min(first, float(left.min()))
            later._cycles[core] = self._cycles.get(core, 0) + rate * inferences
            before = self._worn.get(core, torch.full((), HEALTHY, dtype=torch.int8))
            later._worn[core] = torch.where(failed, self._any_level(chip, (core, "death"), failed.shape), before)
        return Aged(later, dead, first)

    def _rate(self, core: str, wear: Tensor) -> Tensor:
        shape = self._cells(core, len(wear) if wear.ndim else 0)
        if wear.shape != shape or not bool((wear >= 0).all()):
            got = tuple(wear.shape)
            raise ValueError(f"wear of core `{core}`: expected {shape} and no value below 0, got {got}")
        return wear.detach().to("cpu", torch.float64)

    def _left(self, chip: PCMChip, core: str, rate: Tensor, spread: float) -> Tensor:
        """Inferences that each cell will still take; inf where it is stuck already or is never written."""
        draw = torch.randn(rate.shape, dtype=torch.float64, generator=self._generator((core, "endurance")))
        left = chip.devices.endurance.value * torch.exp(spread * draw) - self._cycles.get(core, 0)
        stuck = self.pcm_errors(core, len(rate)).stuck
        switches = rate > 0 if stuck is None else (rate > 0) & (stuck == HEALTHY)
        return torch.where(switches, left.clamp_(min=0) / rate, math.inf)

    def _pcm(self) -> PCMChip:
        if self.chip.technology != "pcm":
            raise TypeError(f"a {self.chip.technology} chip has no phase-change cells")
        return cast("PCMChip", self.chip)

    def _cells(self, core: str, arrays: int) -> tuple[int, int, int, int]:
        shape = (arrays, 2, self.chip.block_size, self.chip.block_size)
        if core in self._worn and self._worn[core].shape != shape:
            raise ValueError(f"core `{core}` has aged with {len(self._worn[core])} arrays, got {arrays}")
        return shape

    def _absorption(self, chip: PCMChip, core: str, shape: tuple[int, ...]) -> Tensor | None:
        if chip.absorption_std == 0:
            return None
        generator = self._generator((core, "absorption"))
        return 1 + phases.truncated_noise(torch.empty(shape, **_KIND), chip.absorption_std, generator=generator)

    def _stuck(self, chip: PCMChip, core: str, shape: tuple[int, ...]) -> Tensor | None:
        if chip.stuck_fraction == 0:
            return None
        chosen = torch.rand(shape, generator=self._generator((core, "stuck")), **_KIND) < chip.stuck_fraction
        return torch.where(chosen, self._any_level(chip, (core, "stuck", "level"), shape), HEALTHY)

    def _any_level(self, chip: PCMChip, place: tuple[str, ...], shape: tuple[int, ...]) -> Tensor:
        return torch.randint(chip.levels, shape, generator=self._generator(place), dtype=torch.int8)

    def _gamma_ratio(self, chip: MeshChip, place: tuple[str, ...], shape: tuple[int, ...]) -> Tensor | None:
        if chip.gamma_std == 0:
            return None
        relative = chip.gamma_std / phases.gamma(chip.v_pi)
        return 1 + phases.truncated_noise(torch.empty(shape, **_KIND), relative, generator=self._generator(place))

    def _bias(self, chip: MeshChip, place: tuple[str, ...], shape: tuple[int, ...]) -> Tensor | None:
        if chip.phase_bias == 0:
            return None
        return chip.phase_bias * torch.rand(shape, generator=self._generator(place), **_KIND)

    def _generator(self, place: tuple[str, ...]) -> torch.Generator:
        return named_generator(self.seed, "specimen", *place)
