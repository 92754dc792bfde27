"""What a sweep or a scan is asked for, as plain settings."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from lightloom.common.config import Section
from lightloom.cost import System
from lightloom.explore import pareto


class ExploreConfig(Section):
    """What is varied, on how many specimens each point is measured, and what it is judged by."""

    axes: tuple[str, ...] = ()
    """What to vary, as `chip.block_size=4,8,16`: any field of a chip, `chip=` with names of presets, `network=`, any
    field of `System` as `system.schedule=weight,output`. The full product is measured."""
    points: tuple[tuple[str, ...], ...] = ()
    """A list in the place of `axes`: for each point its settings, as `("chip=noems", "chip.block_size=8")`."""
    limit: int | None = Field(None, ge=1)
    """Measure at most so many points, drawn at random."""
    specimens: int = Field(32, ge=1)
    """Number of manufactured chips per point."""
    seed: int = Field(0, ge=0)
    """First seed of the specimens, which are the same at every point; it draws the points of `limit` too."""
    threshold: float | None = Field(None, ge=0, le=1)
    """Accuracy that a specimen must reach to count as good; None is one point below the electronic network, of several
    networks below the best."""
    objectives: tuple[str, ...] = pareto.DEFAULT
    """What the Pareto front judges by, of `pareto.MORE_IS_BETTER`."""
    boundary: str | None = None
    """Boundary of the cost that energy and latency stand for; None is the widest."""
    system: System = System()
    """How the chips are run, where no axis says."""
    skip: tuple[str, ...] = ()
    """Names or globs of layers that stay electronic."""
    calibrated: bool = True
    """Whether errors that a calibration takes off, such as the static phase bias of meshes, are taken as off where no
    axis sets them."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        pareto.check(self.objectives)
        if self.axes and self.points:
            raise ValueError("give `axes` or a list of `points`, not both")
        return self


class SensitivityConfig(Section):
    """How many specimens each layer is measured on, and how much the whole network may lose."""

    specimens: int = Field(8, ge=1)
    """Number of manufactured chips per measurement, with the seeds `seed`, `seed + 1`, ..."""
    budget: float = Field(0.01, ge=0)
    """Drop of the whole network that is allowed, in the unit of the score."""
    seed: int = Field(0, ge=0)
    """First seed of the specimens."""
    skip: tuple[str, ...] = ()
    """Names or globs of layers that stay electronic anyway."""
    calibrated: bool = True
    """Whether errors that a calibration takes off, such as the static phase bias of meshes, are taken as off."""
