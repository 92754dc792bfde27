"""Constants of devices: each is a value, its unit, and where it comes from."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from lightloom.common.config import Section

_RATES = ("Hz", "1/s", "byte/s")
_DECIBEL = 300.0  # of one device

Status = Literal["reported", "derived", "assumed"]
Confidence = Literal["A", "B", "C"]


class Constant(Section):
    """A measured or derived figure of one device."""

    value: float
    """The figure, in `unit`; only a level in dBm may be negative."""
    unit: str
    """SI unit, or dB, dBm, or a plain ratio written as "1"."""
    source: str
    """Publication or repository that states the figure, and how it was derived where it was."""
    doi: str = ""
    """Digital object identifier of the publication, where it has one."""
    status: Status = "assumed"
    """reported: the source states the figure for such a device; derived: it follows from figures of the source;
    assumed: it is taken from something else, or from nothing."""
    confidence: Confidence = "C"
    """A: measured, in the publication of the device or on its data sheet; B: second hand, such as the table of a
    simulator, or derived from an A; C: a guess, or of another device."""

    @model_validator(mode="after")
    def _not_negative(self) -> Self:
        if self.value < 0 and self.unit != "dBm":
            raise ValueError(f"{self.value:g} {self.unit} is negative; give 0 or more")
        if self.unit in _RATES and self.value == 0:
            raise ValueError(f"a rate of 0 {self.unit} would take for ever; give one above 0")
        if self.unit in ("dB", "dBm") and abs(self.value) > _DECIBEL:
            raise ValueError(f"{self.value:g} {self.unit} is beyond {_DECIBEL:g}, where no photon is left")
        return self


def in_unit(unit: str) -> AfterValidator:
    """A validator of fields that refuses constants of another unit, since values are never converted."""

    def check(constant: Constant) -> Constant:
        if constant.unit != unit:
            raise ValueError(f"the unit is `{constant.unit}`; convert the value and give it in `{unit}`")
        return constant

    return AfterValidator(check)


def _is_efficiency(constant: Constant) -> Constant:
    if not 0 < constant.value <= 1:
        raise ValueError(f"an efficiency of {constant.value:g}; give one above 0, and at most 1")
    return constant


Efficiency = Annotated[Constant, in_unit("1"), AfterValidator(_is_efficiency)]
Watts = Annotated[Constant, in_unit("W")]
Joules = Annotated[Constant, in_unit("J")]
Seconds = Annotated[Constant, in_unit("s")]
Hertz = Annotated[Constant, in_unit("Hz")]
Decibel = Annotated[Constant, in_unit("dB")]
SquareMetres = Annotated[Constant, in_unit("m^2")]
Ratio = Annotated[Constant, in_unit("1")]


def reported(value: float, unit: str, source: str, *, doi: str = "", confidence: Confidence = "A") -> Constant:
    """A figure that the source states for such a device.

    Args:
        value: The figure.
        unit: Its unit.
        source: Publication or repository that states it.
        doi: Digital object identifier of the publication, where it has one.
        confidence: How far it is to be trusted; by default it was measured.
    """
    return Constant(value=value, unit=unit, source=source, doi=doi, status="reported", confidence=confidence)


def derived(value: float, unit: str, source: str, *, doi: str = "", confidence: Confidence = "B") -> Constant:
    """A figure that follows from those of a source.

    Args:
        value: The figure.
        unit: Its unit.
        source: Publication or repository, and how the figure follows from it.
        doi: Digital object identifier of the publication, where it has one.
        confidence: How far it is to be trusted; by default it is second hand.
    """
    return Constant(value=value, unit=unit, source=source, doi=doi, status="derived", confidence=confidence)


def assumed(value: float, unit: str, source: str, *, doi: str = "", confidence: Confidence = "C") -> Constant:
    """A figure that is taken from something else, or from nothing.

    Args:
        value: The figure.
        unit: Its unit.
        source: What it is taken from, and why.
        doi: Digital object identifier of a publication, where it has one.
        confidence: How far it is to be trusted; by default it is a guess.
    """
    return Constant(value=value, unit=unit, source=source, doi=doi, status="assumed", confidence=confidence)
