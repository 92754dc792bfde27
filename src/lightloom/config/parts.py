"""The groups of fields that runs of every task have: calibration, wear, and what is compared."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lightloom.common.config import Section, at_least, at_most
from lightloom.common.errors import nearest


class CalibrationConfig(Section):
    """How a chip is measured on the bench."""

    readout_std: Annotated[float, at_most(1.0, "noise as large as full scale leaves nothing to measure")] = Field(
        0.001, ge=0
    )
    """Noise of each measured value, relative to full scale."""
    accuracy: Annotated[float, at_least(1e-6, "phases are held in single precision, which rounds by as much")] = Field(
        0.005, gt=0
    )
    """Calibration measures until phases are known to this, in rad."""
    budget: int | None = Field(None, ge=1)
    """Calls that calibration may take; None is 4 per waveguide and another 256."""
    looks: Annotated[int, at_most(1_000_000, "mapping would not end")] = Field(1, ge=0)
    """Calls that mapping takes to look at the programmed blocks and correct them."""


class WearConfig(Section):
    """How a PCM chip is used."""

    rate: Annotated[float, at_most(1e15, "no light is switched as often in a second")] = Field(50.0, gt=0)
    """Inferences per second."""
    inferences: float = Field(0.0, ge=0)
    """Inferences that the chip is to serve: the report says what has failed by then."""


class Case(Section):
    """One training of a comparison."""

    name: str = Field(min_length=1)
    """Name of the case, unique in the comparison."""
    series: str = ""
    """Cases of one series are joined in a plot; "" is a series of its own."""
    x: float | None = None
    """Place in the plot; None has none, as a baseline."""
    changes: tuple[str, ...] = ()
    """How its config differs from the run's, as `key=value`."""


class SweepConfig(Section):
    """Trainings that are compared with each other, each with the same seeds."""

    cases: tuple[Case, ...] = ()
    seeds: Annotated[int, Field(ge=1), at_most(10_000, "every case would be trained as often")] = 1
    """Trainings of each case, with seeds from the run's on: other first weights, order and validation images."""
    x: str = ""
    """What changes along a series."""
    scale: Literal["linear", "log"] = "linear"
    """Scale of the axis along which a series changes."""
    baseline: str = ""
    """Case that the others are measured by."""
    angles: bool = False
    """Compare the gradient of light with the exact one before every epoch."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [case.name for case in self.cases]
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise ValueError(f"two cases are called `{doubled[0]}`; name each case once")
        if self.baseline and self.baseline not in names:
            hint = nearest(self.baseline, names) if names else "There are no cases at all."
            raise ValueError(f"there is no case `{self.baseline}` to be the baseline. {hint}")
        if self.scale == "log" and any(case.x is not None and case.x <= 0 for case in self.cases):
            raise ValueError("a logarithmic axis has no place for 0 or less; give `x` above 0, or `scale: linear`")
        return self
