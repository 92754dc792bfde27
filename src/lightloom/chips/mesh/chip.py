"""Chips whose tensor cores are meshes of Mach-Zehnder interferometers."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator
from torch import Tensor

from lightloom.chips.base import Bits, Chip
from lightloom.chips.counts import Counts
from lightloom.chips.mesh.devices import MeshDevices
from lightloom.chips.mesh.errors import HIDDEN_ERRORS
from lightloom.chips.mesh.specimen import MeshSpecimen
from lightloom.common.config import at_least, at_most
from lightloom.physics import blocks, mesh, phases


class MeshChip(Chip):
    """Photonic hardware that computes W x with W cut into k x k blocks, each block U Sigma V on two MZI meshes.

    Defaults are the published L2ight setting, except the phase bias, which is the paper's U(0, 2 pi) and not the
    released code's U(-1, 1). Each imperfection is off at 0 (or None, for bits).
    """

    purpose: ClassVar[str] = (
        "a design of MZI meshes: `nn.convert(model, chip)` puts weights on it, `chip.specimen(seed)` manufactures it"
    )
    hidden_errors: ClassVar[tuple[str, ...]] = tuple(error.knob for error in HIDDEN_ERRORS)
    run_sections: ClassVar[frozenset[str]] = frozenset({"sampling"})
    summary_fields: ClassVar[tuple[str, ...]] = (
        *Chip.summary_fields,
        *("field", "layout", "weight_bits", "gamma_std", "crosstalk", "phase_bias"),
    )
    technology: Literal["mesh"] = "mesh"
    """Name of the technology."""
    devices: MeshDevices
    """Device constants for the cost, each with its source."""
    block_size: Annotated[int, at_most(256, "programming a block takes a time that grows with k^3, 5 s at 256")] = (
        Field(9, ge=2)
    )
    """Waveguides k of one mesh; a tensor core multiplies by a k x k block."""
    field: Literal["real", "complex"] = "real"
    """real: one phase per MZI and orthogonal meshes; complex: two, and unitary ones, of which a coherent receiver reads
    the in-phase part."""
    layout: Literal["rectangle", "triangle", "butterfly"] = "rectangle"
    """Arrangement of the MZIs: Clements, Reck, or the butterfly, which cannot be programmed to any matrix."""
    weight_bits: Bits | None = 8
    """Resolution of the phase shifters' drive; None is exact. Source: L2ight."""
    input_bits: Bits | None = None
    """Resolution of the input modulators; None is exact. Source: L2ight (32 bit)."""
    output_bits: Bits | None = None
    """Resolution of the output converters; None is exact. Source: L2ight (32 bit)."""
    dac: Literal["phase", "voltage"] = "phase"
    """What the drive rounds: the phase (published) or its voltage, whose square is the phase."""
    v_pi: Annotated[
        float,
        at_most(1e4, "no chip survives such a voltage"),
        at_least(1e-4, "noise alone would turn the phase"),
    ] = Field(4.36, gt=0)
    """Voltage of a phase of pi in V. Source: L2ight (gamma = pi / v_pi^2 = 0.165 rad/V^2)."""
    gamma_std: float = Field(0.002, ge=0)
    """Spread of gamma between devices in rad/V^2, normal, cut at two standard deviations. Source: L2ight."""
    crosstalk: float = Field(0.005, ge=0, lt=0.25)
    """Share of a heater's phase that each neighbour receives. Source: L2ight."""
    phase_bias: float = Field(2 * math.pi, ge=0, le=2 * math.pi)
    """Unknown static phase of each shifter, uniform in [0, phase_bias], in rad. Source: L2ight, the paper's text."""
    phase_noise_std: Annotated[
        float,
        at_most(2 * math.pi, "a full turn makes every phase equally likely already"),
    ] = Field(0.0, ge=0)
    """Dynamic phase noise, new at every use, in rad, normal, cut at two standard deviations."""
    insertion_loss_db: Annotated[float, at_most(60, "no light is left behind a single MZI")] = Field(0.0, ge=0)
    """Loss per MZI inside the computed matrix, in dB. Off by default: a mesh with equal loss is mostly a scale."""

    @model_validator(mode="after")
    def _shifters_heat(self) -> Self:
        gamma = math.pi / self.v_pi**2
        if self.gamma_std > gamma / 2:
            raise ValueError(
                f"`gamma_std` of {self.gamma_std:g} rad/V^2 is more than half of gamma, {gamma:.4g} at `v_pi` of "
                f"{self.v_pi:g} V: some shifters would turn no phase at all, or backwards; give {gamma / 2:.4g} or less"
            )
        return self

    def specimen(self, seed: int) -> MeshSpecimen:
        """Manufacture one chip of this kind: `seed` decides the hidden error of each of its devices.

        Raises:
            RequestError: The seed is no whole number from 0 to 2^63 - 1.
        """
        return MeshSpecimen(self, seed)

    def drive(self, neighbours: Tensor | None = None, warming: Tensor | None = None) -> phases.Drive:
        """What all phase shifters of one of its meshes share, for `physics.phases.realise`.

        Args:
            neighbours: Which heaters warm each heater, as `mesh.neighbours` gives it for such a mesh.
            warming: The same as a matrix, as `mesh.warming_matrix` gives it; None where that would not be faster.
        """
        return phases.Drive(
            bits=self.weight_bits,
            dac=self.dac,
            coupling=self.crosstalk,
            neighbours=neighbours,
            warming=warming,
            noise_std=self.phase_noise_std,
        )

    def obstacle(self, stage: str) -> str | None:
        """Why a stage of a run cannot be done on this mesh, or None where it can."""
        if stage in ("calibrate", "map") and (self.field != "real" or self.layout == "butterfly"):
            return f"calibration identifies real meshes of a universal layout, not a {self.field} {self.layout}"
        return super().obstacle(stage)

    def counts(self, rows: int, columns: int, groups: int = 1, vectors: int = 1) -> Counts:
        """What a layer takes: one core for each block, which k vectors pass at once, one per wavelength.

        Args:
            rows: Rows of each group's matrix.
            columns: Columns of each group's matrix.
            groups: Number of matrices, as of a grouped convolution.
            vectors: Input vectors that are multiplied.
        """
        size = self.block_size
        p, q = blocks.grid(rows, columns, size)
        cores = groups * p * q
        return Counts(
            cores=cores,
            mzis=cores * (2 * mesh.mzi_count(size, self.layout) + size),
            shifters=cores * (2 * mesh.phase_count(size, self.layout, self.field) + size),
            calls=cores * -(-vectors // size),
            conversions_in=vectors * groups * columns,
            conversions_out=vectors * groups * rows * q,
        )

    def calibrated(self) -> Self:
        """The same hardware with the static phases known, so that they are compensated."""
        return self.replace(phase_bias=0.0)

    def ideal(self) -> Self:
        """The same hardware with every imperfection switched off."""
        return self.replace(
            name=f"{self.name}, ideal",
            weight_bits=None,
            input_bits=None,
            output_bits=None,
            gamma_std=0.0,
            crosstalk=0.0,
            phase_bias=0.0,
            phase_noise_std=0.0,
            insertion_loss_db=0.0,
        )
