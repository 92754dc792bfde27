"""What every chip with tensor cores has, whatever they are made of, and every manufactured piece of it."""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from lightloom.chips.counts import Counts
from lightloom.chips.devices import Peripherals
from lightloom.common.arguments import checked
from lightloom.common.checks import seed_number, shown
from lightloom.common.config import Section
from lightloom.common.errors import RequestError
from lightloom.physics import blocks

Bits = Annotated[int, Field(ge=1, le=32)]
"""Width of a converter; past 24 bits single precision is the coarser of the two."""

Range = Literal["dynamic", "static"]
"""What the full scale of a converter is."""


class Chip(Section):
    """Photonic hardware that computes W x on tensor cores, with W cut into k x k blocks.

    Each technology has a subclass of its own, which gives `technology` a `Literal` name with a default, adds the fields
    of its devices, and says in `ideal` which of them are imperfections.
    """

    purpose: ClassVar[str] = (
        "a design of a chip: `nn.convert(model, chip)` puts weights on it, `chip.specimen(seed)` manufactures it"
    )
    """What such hardware is for, as an error says it where something else was expected."""
    hidden_errors: ClassVar[tuple[str, ...]] = ()
    """Names of the fields that say how far the devices of manufactured chips differ; at 0 all specimens are alike."""
    summary_fields: ClassVar[tuple[str, ...]] = ("name", "block_size", "input_bits")
    """Names of the fields that a list of chips shows."""
    run_sections: ClassVar[frozenset[str]] = frozenset()
    """Names of the sections of a run's config that such hardware reads beside the common ones."""
    details: ClassVar[frozenset[str]] = frozenset({"devices"})
    """Names of the fields that a list leaves out."""
    technology: str
    """Name of the technology that the tensor cores are made of."""
    name: str
    """Name of the preset that this is, or your own."""
    devices: Peripherals = Peripherals()
    """Device constants for the cost, each with its source."""
    block_size: int = Field(8, ge=2)
    """Rows and columns k of the block that a tensor core multiplies by."""
    input_bits: Bits | None = None
    """Resolution of the input modulators; None is exact."""
    output_bits: Bits | None = None
    """Resolution of the output converters; None is exact."""
    range: Range = "dynamic"
    """Full scale of the converters. dynamic: of each signal by itself, restored electronically; static: of each layer,
    measured once on data, beyond which signals are clipped."""

    @property
    def idle(self) -> set[str]:
        """Names of the fields that say nothing about such hardware; here every one says something."""
        return set()

    def obstacle(self, stage: str) -> str | None:
        """Why a stage of a run cannot be done on this hardware, or None where it can.

        Args:
            stage: Name of the stage.
        """
        if stage == "reorder":
            return f"`reorder` is for chips whose cells are written, and `{self.name}` is not"
        return None

    def specimen(self, seed: int) -> Specimen:
        """Manufacture one chip of this kind: `seed` decides the hidden error of each of its devices.

        Raises:
            RequestError: The seed is no whole number from 0 to 2^63 - 1.
        """
        return Specimen(self, seed)

    def counts(self, rows: int, columns: int, groups: int = 1, vectors: int = 1) -> Counts:
        """What a layer takes on this chip, known before anything is built or programmed.

        Here every block has a tensor core of its own, and one vector passes it at a time.

        Args:
            rows: Rows of each group's matrix.
            columns: Columns of each group's matrix.
            groups: Number of matrices, as of a grouped convolution.
            vectors: Input vectors that are multiplied.
        """
        p, q = blocks.grid(rows, columns, self.block_size)
        return Counts(
            cores=groups * p * q,
            mzis=0,
            shifters=0,
            calls=groups * p * q * vectors,
            conversions_in=vectors * groups * columns,
            conversions_out=vectors * groups * rows * q,
        )

    def calibrated(self) -> Self:
        """The same hardware without the errors that a calibration takes off; here none are known of."""
        return self

    @abstractmethod
    def ideal(self) -> Self:
        """The same hardware with every imperfection switched off."""


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

    @property
    def alike(self) -> bool:
        """Whether all unused specimens of the chip are one: every field of its `hidden_errors` is 0."""
        return not any(getattr(self.chip, field) for field in self.chip.hidden_errors)
