"""What the stages of one run share: its folder, config, task, data and networks."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lightloom import learn as learning
from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.nn import convert, put_on_chip
from lightloom.nn.convert import Conversion
from lightloom.pipeline.run_folder import RunFolder
from lightloom.tasks import task_of
from lightloom.tasks.base import Interface, TrainingPlan

STATES = {
    "electronic": "train",
    "programmed": "program",
    "calibrated": "calibrate",
    "mapped": "map",
    "learned": "learn",
    "reordered": "reorder",
}
"""States of the network that a run can hold, and the stage that leaves each behind."""


class RunContext:
    """What the stages of one run share.

    Args:
        folder: Of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.config: Any = folder.config
        self.task = task_of(folder.config)
        self.task.forget()

    @cached_property
    def data(self) -> Any:
        """What the network learns from electronically, read once."""
        return self.task.data(self.config)

    @cached_property
    def chip_data(self) -> Any:
        """What the chip learns and is measured on, read once."""
        return self.task.chip_data(self.config)

    @property
    def interface(self) -> Interface:
        """What the weights of the electronic network are for."""
        return self.task.interface(self.data)

    def new_network(self) -> nn.Module:
        """The electronic network with first weights drawn from the run's seed."""
        return self.task.model(self.config, self.interface, self.data)

    def adapt(self, model: nn.Module) -> None:
        """Make an electronic network ready for what the chip learns, where that is something else."""
        self.task.adapt(model, self.config, self.task.interface(self.chip_data))

    def convert(self, model: nn.Module) -> Conversion:
        """Move layers of a network, in place, onto the chips of the run, without hidden errors."""
        config = self.config
        return convert(model, config.chip, skip=config.electronic, places=tuple(config.places.items()), inplace=True)

    def put_on_chip(self, model: nn.Module, samples: Any = None) -> Conversion:
        """Move layers of a network, in place, onto the manufactured chips of the run.

        Args:
            model: Electronic.
            samples: Inputs that static full scales are measured on, see `nn.put_on_chip`.
        """
        config, places = self.config, tuple(self.config.places.items())
        return put_on_chip(
            model,
            config.chip,
            config.specimen,
            skip=config.electronic,
            places=places,
            samples=samples,
            inplace=True,
        )

    def network(self, state: str) -> nn.Module:
        """The network as a stage left it, one of `STATES`."""
        model = self.task.model(self.config, self.interface)
        if state != "electronic":
            self.adapt(model)
            model = self.put_on_chip(model).model
        learning.load_weights(model, self.file(state))
        if self.orders(state).exists():
            learning.load_orders(model, self.orders(state))
        return model

    def trained(self) -> nn.Module:
        """The electronic network as it goes on the chip, with a new head where that learns something else."""
        model = self.network("electronic")
        self.adapt(model)
        return model

    def save_state(self, model: nn.Module, state: str) -> None:
        """Write the network as a stage leaves it.

        Args:
            model: The network.
            state: One of `STATES`.
        """
        learning.save_weights(model, self.file(state))
        learning.save_orders(model, self.orders(state))

    @property
    def states(self) -> list[str]:
        """The states of the network that the run holds, in order."""
        return [state for state, stage in STATES.items() if stage in self.folder.done]

    def latest_state(self, last: str = "reordered") -> str:
        """The furthest state that the run holds, up to `last`.

        Raises:
            RequestError: It holds none.
        """
        order = list(STATES)
        states = [state for state in self.states if order.index(state) <= order.index(last)]
        if not states:
            raise RequestError(
                f"The run in `{self.folder.path}` holds no network yet: `stages.json` names no stage that leaves one. "
                f"Begin with `lightloom train {self.folder.path}`."
            )
        return states[-1]

    def file(self, state: str) -> Path:
        """Weights of a state of the network."""
        return self.folder.file(f"{state}.safetensors")

    def orders(self, state: str) -> Path:
        """The file that says which column sits where, write by write, in the crossbars of a state of the network."""
        return self.folder.file(f"{state}-orders.safetensors")

    def fit(
        self,
        plan: TrainingPlan,
        config: learning.TrainConfig,
        stage: str,
        sampler: learning.BatchSampler | None = None,
    ) -> None:
        """Train on the data of this run that belongs to the stage.

        Args:
            plan: What trains, and for what.
            config: Optimiser, schedule, precision.
            stage: Name of the stage; `train` is electronic, any other on the chip.
            sampler: Leaves out some of the batches of an epoch.
        """
        on_chip = stage != "train"
        samples = self.chip_data if on_chip else self.data
        augment = self.task.augment(self.config, on_chip)
        data = learning.TrainingData(samples.train, samples.validation, augment, sampler)
        session = learning.Session(self.folder.path, stage, self.config.seed, self.config.device)
        learning.fit(plan.model, data, plan.objective, config, session, prepare=plan.prepare)

    def seed_noise(self, state: str) -> None:
        """Seed the noise that a measurement of one state meets."""
        torch.manual_seed(named_seed(self.config.seed, "evaluate", state))
