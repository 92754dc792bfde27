"""What calibration, mapping and learning mean on one technology: the facet `stages` of its record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from lightloom.chips.technologies import TECHNOLOGIES
from lightloom.common.errors import RequestError
from lightloom.nn import TensorCore, cores
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.learning import LearningPlan

Rows = list[dict[str, Any]]
"""What each instrument took, as `bench.json` lists it."""


class TechnologyStages:
    """How the cores of one technology go through the stages of a run.

    This class itself serves technologies that name no stages of their own: their cores are programmed and learn, and
    cannot be calibrated.
    """

    trains_everything: ClassVar[bool] = True
    """Whether learning on the chip trains all weights of the network; on meshes it trains singular values alone."""

    def __init__(self, technology: str) -> None:
        self.technology = technology

    def cores(self, model: nn.Module) -> dict[str, TensorCore]:
        """The cores of a model that are of this technology, by the names of their layers."""
        return {
            name: core for name, core in cores(model, TensorCore).items() if core.chip.technology == self.technology
        }

    def programmed(self, run: RunContext, model: nn.Module) -> None:
        """Leave what the report shows of a network that was just programmed; here nothing.

        Args:
            run: What the stages share.
            model: The network on its chip.
        """

    def calibrate(self, run: RunContext, model: nn.Module, targets: Mapping[str, Tensor]) -> Rows:
        """Measure the devices of the specimen, and program what can be known of it.

        Args:
            run: The run.
            model: As it was programmed; changed in place.
            targets: The weight that each layer should make, by its name.

        Raises:
            RequestError: The technology cannot be calibrated.
        """
        raise self._refusal("calibrate")

    def map_weights(self, run: RunContext, model: nn.Module, targets: Mapping[str, Tensor]) -> Rows:
        """Correct what was programmed by what the chip shows.

        Args:
            run: The run.
            model: As it was calibrated; changed in place.
            targets: The weight that each layer should make, by its name.

        Raises:
            RequestError: The technology cannot be mapped.
        """
        raise self._refusal("map")

    def plan_learning(self, run: RunContext, model: nn.Module, plan: LearningPlan) -> LearningPlan:
        """What learning on the chip minds beside the loss; here nothing.

        Args:
            run: What the stages share.
            model: The network on its chip.
            plan: What is trained so far, which technologies may change.
        """
        return plan

    def reorder(self, run: RunContext, states: Mapping[str, nn.Module]) -> None:
        """Write the networks of some states in another order, in place, and count what that saves.

        Args:
            run: The run.
            states: As they were programmed and as they are now, by the names of the states, the furthest last.

        Raises:
            RequestError: The order of writes says nothing on this technology.
        """
        raise self._refusal("reorder")

    def _refusal(self, stage: str) -> RequestError:
        return RequestError(
            f"The technology `{self.technology}` has no `{stage}`; leave it out of `stages`, or give its `Technology` "
            "`stages='package.module:Class'`, a subclass of `TechnologyStages` that has it."
        )


def stages_of(name: str) -> TechnologyStages:
    """The stages of a technology.

    Raises:
        RequestError: There is no such technology, or its stages cannot be loaded.
    """
    return TECHNOLOGIES.find(name).load("stages", TechnologyStages, TechnologyStages)(name)


def technologies_in(model: nn.Module) -> list[TechnologyStages]:
    """Those of all technologies that a model has cores of, in the order of the table."""
    present = {core.chip.technology for core in cores(model, TensorCore).values()}
    return [stages_of(name) for name in TECHNOLOGIES if name in present]
