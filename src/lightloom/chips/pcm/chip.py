"""Chips whose tensor cores are crossbars of phase-change memory cells."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor

from lightloom.chips.base import Bits, Chip
from lightloom.chips.counts import Counts
from lightloom.chips.pcm.devices import PCMDevices
from lightloom.chips.pcm.errors import HIDDEN_ERRORS
from lightloom.chips.pcm.specimen import PCMSpecimen
from lightloom.common.config import at_most
from lightloom.physics import blocks
from lightloom.physics.pcm.errors import CellNoise
from lightloom.physics.pcm.wear import WriteModel

FINEST_STEP = 1e-6
"""Least difference of neighbouring transmissions: some ten times what single precision still resolves near 1."""

PUBLISHED_EXTINCTION = 0.872**15
"""Darkest over brightest level of the published 4-bit cell. Source: ELight (base 1 - 0.128, 16 levels)."""

Transmission = Annotated[float, Field(gt=0, le=1)]


class PCMChip(Chip):
    """Photonic hardware that computes W x with W cut into k x k blocks, each weight the difference of two cells.

    Arrays of k x k cell pairs work in parallel, one per block row, and are rewritten for every block column in turn.
    A cell crystallised by n of its steps transmits base^n, or the measured `transmissions`. Defaults are the published
    4-bit setting (Zhu et al., ELight, ASP-DAC 2022). Each imperfection is off at 0.
    """

    purpose: ClassVar[str] = (
        "a design of phase-change crossbars: `nn.convert(model, chip)` puts "
        "weights on it, `chip.specimen(seed)` manufactures it"
    )
    hidden_errors: ClassVar[tuple[str, ...]] = tuple(error.knob for error in HIDDEN_ERRORS)
    run_sections: ClassVar[frozenset[str]] = frozenset({"writes", "wear"})
    summary_fields: ClassVar[tuple[str, ...]] = (
        *Chip.summary_fields,
        *("levels", "base", "write_model", "start", "sharing", "stuck_fraction"),
    )
    technology: Literal["pcm"] = "pcm"
    """Name of the technology."""
    devices: PCMDevices
    """Device constants for the cost and the wear, each with its source."""
    block_size: int = Field(64, ge=2, le=1024)
    """Rows and slots k of one array. Source: ELight."""
    levels: int = Field(16, ge=2, le=64)
    """Levels of one cell, one more than its steps. Source: ELight (4 bit)."""
    base: float = Field(0.872, gt=0, lt=1)
    """Transmission of a cell over that with one step less crystallised. Source: ELight (1 - 0.128)."""
    transmissions: tuple[Transmission, ...] | None = None
    """Measured transmission of every level, the brightest first; None is `base` to the power of the step."""
    input_bits: Bits | None = 4
    """Resolution of the input modulators; None is exact. Source: ELight."""
    output_bits: Bits | None = None
    """Resolution of the output converters; None is exact. Source: ELight."""
    write_model: WriteModel = "per_level"
    """per_level: every step between levels is a write (published); per_cell: one pulse reaches any level from any
    other; erase_write: a cell is crystallised first, then amorphised to its level."""
    start: Literal["erased", "repeat", "alternate"] = "erased"
    """State before an inference. erased: every pair at 0, for free (published); repeat: as the inference before left
    it; alternate: every other inference runs the turns backwards, so that nothing is written between two."""
    sharing: Literal["row_private", "column_shared", "block_shared"] = "row_private"
    """What decides when an input is due. row_private: each row of an array has modulators of its own (published);
    column_shared: one modulator of a slot serves all rows; block_shared: all slots of an array move together."""
    scope: Literal["slot", "any"] = "slot"
    """slot: an input keeps its slot and only its turn changes (published); any: it may change slots."""
    broadcast: bool = False
    """Whether one set of modulators feeds all arrays of a matrix, which then share one order; False: each has one."""
    programming_std: Annotated[
        float,
        at_most(10, "an error of ten times full scale leaves nothing of a weight"),
    ] = Field(0.0, ge=0)
    """Error of a written transmission over full scale, normal, new at every write."""
    read_noise_std: Annotated[
        float,
        at_most(10, "an error of ten times full scale leaves nothing of a weight"),
    ] = Field(0.0, ge=0)
    """Noise of a cell's transmission over full scale, normal, new at every use."""
    absorption_std: float = Field(0.0, ge=0, lt=0.5)
    """Spread of the absorption per step between cells, relative, normal, cut at two standard deviations."""
    stuck_fraction: float = Field(0.0, ge=0, le=1)
    """Share of cells that no longer switch; the level at which one is stuck is any, with equal chance."""
    drift_nu: float = Field(0.0, ge=0, le=1)
    """Exponent of the drift (t / t0)^-nu. Optical memories drift too little to measure: Rios et al., Sci. Adv. 5,
    eaau5759 (2019)."""
    drift_time: Annotated[float, at_most(1e12, "no cell is read 30,000 years later")] = Field(0.0, ge=0)
    """Time t in s from writing to reading; up to t0 = 20 s there is no drift."""
    electronic_drift: bool = False
    """Read the cells electrically, with the programming error, drift and noise of a million measured ones (Joshi et
    al., Nat. Commun. 11, 2473 (2020)); for comparison, light reads cells without."""

    @model_validator(mode="after")
    def _levels_can_be_told_apart(self) -> Self:
        steps = self.levels - 1
        if self.transmissions is None:
            finest = self.base ** (steps - 1) - self.base**steps
            if finest < FINEST_STEP:
                raise ValueError(
                    f"base {self.base:g} with {self.levels} levels leaves neighbouring transmissions only {finest:.1e} "
                    f"apart, and below {FINEST_STEP:g} they cannot be told apart; base "
                    f"{PUBLISHED_EXTINCTION ** (1 / steps):.4f} spreads {self.levels} levels over the range of the "
                    "published 4-bit cell"
                )
            return self
        if len(self.transmissions) != self.levels:
            raise ValueError(
                f"{len(self.transmissions)} transmissions for {self.levels} levels; give one for each, or set "
                f"`levels={len(self.transmissions)}`"
            )
        if any(bright - dark < FINEST_STEP for bright, dark in pairwise(self.transmissions)):
            raise ValueError(f"transmissions must fall by {FINEST_STEP:g} or more from each level to the next")
        return self

    @model_validator(mode="after")
    def _one_model_of_errors(self) -> Self:
        optical = ("programming_std", "read_noise_std", "drift_nu")
        doubled = [name for name in optical if getattr(self, name)]
        if self.electronic_drift and doubled:
            names = " and ".join(f"`{name}`" for name in doubled)
            raise ValueError(f"`electronic_drift` brings its own errors; set {names} to 0, or it to false")
        return self

    def table(self) -> Tensor:
        """Transmission of each level, [levels] in float64, the brightest first."""
        import torch

        from lightloom.physics.pcm.levels import transmissions

        if self.transmissions is None:
            return transmissions(self.levels, self.base)
        return torch.tensor(self.transmissions, dtype=torch.float64)

    def specimen(self, seed: int) -> PCMSpecimen:
        """Manufacture one chip of this kind: `seed` decides the hidden error of each of its cells.

        Raises:
            RequestError: The seed is no whole number from 0 to 2^63 - 1.
        """
        return PCMSpecimen(self, seed)

    def noise(self) -> CellNoise:
        """What all its cells share, for `physics.pcm.errors.realise`."""
        return CellNoise(
            programming_std=self.programming_std,
            read_noise_std=self.read_noise_std,
            drift_nu=self.drift_nu,
            drift_time=self.drift_time,
            electronic=self.electronic_drift,
        )

    def obstacle(self, stage: str) -> str | None:
        """Why a stage of a run cannot be done on this crossbar, or None where it can, as here every one."""
        return None

    def counts(self, rows: int, columns: int, groups: int = 1, vectors: int = 1) -> Counts:
        """What a layer takes: one array for each block row, which every vector passes at every turn.

        Args:
            rows: Rows of each group's matrix.
            columns: Columns of each group's matrix.
            groups: Number of matrices, as of a grouped convolution.
            vectors: Input vectors that are multiplied.
        """
        p, turns = blocks.grid(rows, columns, self.block_size)
        # a modulator sends one value at a time, to as many cells as share it
        feeds = {"row_private": rows, "column_shared": p, "block_shared": p}[self.sharing]
        copies = 1 if self.broadcast and self.sharing != "row_private" else feeds
        return Counts(
            cores=groups * p,
            mzis=0,
            shifters=0,
            calls=groups * p * turns * vectors,
            conversions_in=vectors * groups * columns * copies,
            conversions_out=vectors * groups * rows * turns,
            cells=2 * min(groups * rows * columns, groups * rows * self.block_size),
        )

    def ideal(self) -> Self:
        """The same hardware with every imperfection switched off; it keeps its levels, which are what it computes."""
        return self.replace(
            name=f"{self.name}, ideal",
            input_bits=None,
            output_bits=None,
            programming_std=0.0,
            read_noise_std=0.0,
            absorption_std=0.0,
            stuck_fraction=0.0,
            drift_nu=0.0,
            drift_time=0.0,
            electronic_drift=False,
        )
