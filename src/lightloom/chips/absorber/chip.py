"""Hardware between matrix layers: a medium that light makes more transparent, or an element that was measured."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from lightloom.chips.constants import Constant
from lightloom.common.config import Section
from lightloom.common.errors import RequestError
from lightloom.physics.absorber import Medium, check
from lightloom.physics.absorber.curves import Curve, curve

_MEDIUM = ("optical_depth", "saturation_intensity", "broadening", "residual")


class AbsorberChip(Section):
    """A layer of saturable absorber, which acts on each light field of a network on its own: an optical activation.

    It is either a medium, described by its optical depth and saturation intensity, or a measured table. Defaults are
    the published setting (Guo et al., Photon. Res. 9, B71 (2021)).
    """

    purpose: ClassVar[str] = (
        "an absorber, which is an activation between matrix layers and holds no weights: make a layer of it by "
        "`nn.SaturableAbsorber.of(chip)`"
    )
    """What such hardware is for, as an error says it where something else was expected."""
    summary_fields: ClassVar[tuple[str, ...]] = (
        *("name", "form", "encoding", "optical_depth", "saturation_intensity", "broadening", "residual"),
    )
    """Names of the fields that a list of chips shows."""
    details: ClassVar[frozenset[str]] = frozenset({"table", "wavelength", "saturation_irradiance"})
    """Names of the fields that a list leaves out."""
    technology: Literal["absorber"] = "absorber"
    """What the activation is made of."""
    name: str
    """Name of the preset that this is, or your own."""
    form: Literal["thin", "propagated", "measured"] = "thin"
    """thin: all of the medium sees the light that enters (published); propagated: each slice sees what the ones before
    it left; measured: `table`."""
    encoding: Literal["amplitude", "intensity"] = "amplitude"
    """What a signal is: a signed field, whose square is the intensity (published), or an intensity."""
    optical_depth: float = 10.0
    """Optical depth on the intensity without saturation; below 0 the medium amplifies. Source: Guo et al."""
    saturation_intensity: float = Field(1.0, gt=0)
    """Intensity that halves the absorption of a homogeneous medium, in units of the signal (squared, for fields)."""
    broadening: Literal["homogeneous", "inhomogeneous"] = "homogeneous"
    """How absorption falls with S, intensity over saturation intensity: as 1/(1+S), or as 1/sqrt(1+S) where each atom
    answers to a frequency of its own."""
    residual: float = Field(0.0, ge=0)
    """Optical depth on the intensity that never saturates."""
    table: tuple[tuple[float, float], ...] | None = None
    """Measured pairs of input and output, inputs ascending from 0 or above; for `form="measured"` alone."""
    wavelength: Constant | None = None
    """Wavelength of the light, where the absorber is tied to one."""
    saturation_irradiance: Constant | None = None
    """What `saturation_intensity` is in physical units."""

    @field_validator("optical_depth", "saturation_intensity", "residual")
    @classmethod
    def _is_of_a_medium(cls, value: float, info: ValidationInfo) -> float:
        if info.data.get("form") != "measured":
            alone = {
                "optical_depth": Medium(optical_depth=value),
                "saturation_intensity": Medium(saturation=value),
                "residual": Medium(residual=value),
            }
            check(alone[str(info.field_name)])
        return value

    @model_validator(mode="after")
    def _is_a_medium_or_a_table(self) -> Self:
        if (self.table is not None) != (self.form == "measured"):
            raise ValueError('a `table` and `form="measured"` go together; give both, or neither')
        if self.table is None:
            check(self.medium())  # its numbers together
            return self
        changed = [name for name in _MEDIUM if getattr(self, name) != type(self).model_fields[name].default]
        if changed:
            raise ValueError(f"a measured absorber is its table; leave `{'`, `'.join(changed)}` away")
        inputs = [entry[0] for entry in self.table]
        if len(inputs) < 2 or inputs[0] < 0 or any(low >= high for low, high in pairwise(inputs)):
            raise ValueError("a table needs 2 or more points with inputs that ascend from 0 or above")
        if inputs[0] == 0 and self.table[0][1] != 0:
            raise ValueError(f"{self.table[0][1]:g} comes out where nothing goes in; subtract the dark level")
        return self

    @property
    def idle(self) -> set[str]:
        """Fields that say nothing about an absorber of this form."""
        return {"table"} if self.table is None else set(_MEDIUM)

    def medium(self) -> Medium:
        """What the light passes through.

        Raises:
            RequestError: The absorber is a measured one.
        """
        if self.form == "measured":
            raise RequestError(f"`{self.name}` is a measured absorber without optical depth; take its `curve()`")
        return Medium(self.optical_depth, self.saturation_intensity, self.residual, self.form, self.broadening)

    def curve(self) -> Curve:
        """The measured output over the input.

        Raises:
            RequestError: The absorber is not a measured one.
        """
        if self.table is None:
            raise RequestError(f"`{self.name}` is a medium of form `{self.form}`; take its `medium()`")
        inputs, outputs = zip(*self.table, strict=True)
        return curve(inputs, outputs)
