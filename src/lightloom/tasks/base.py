"""What a network is for: the record that joins data, model, objective and metrics of one kind of problem.

A task is a subclass of `Task` with one instance in the table `lightloom.tasks.TASKS`, or behind an entry point of the
group `lightloom.tasks`. Nothing outside its own folder asks which task a run is of.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Generic, NamedTuple, Protocol, TypeVar

import torch
from torch import nn

from lightloom.common.errors import RequestError
from lightloom.config import Case, RunConfig
from lightloom.data import Samples
from lightloom.learn import Augment, Objective, Prepare
from lightloom.report import SectionBuilder
from lightloom.schemas import Metric

Config = TypeVar("Config", bound=RunConfig)
Interface = Mapping[str, Any]
"""What the weights of a model are for, as values that JSON can hold: its classes, its alphabet, its cameras."""


class TaskData(Protocol):
    """The samples of a run, read and checked."""

    @property
    def train(self) -> Samples:
        """What the network learns from."""

    @property
    def validation(self) -> Samples:
        """What decides which epoch is best."""

    @property
    def test(self) -> Samples:
        """What is reported."""


class Measured(NamedTuple):
    """How good a model is on a set."""

    metrics: dict[str, float]
    """Metrics by name, the primary one among them."""
    per_class: Mapping[str, float] = MappingProxyType({})
    """The primary metric of each class, where there are classes."""
    predictions: Any = None
    """What the model said of each sample, as the task has it."""


class TrainingPlan(NamedTuple):
    """What `learn.fit` is given to train."""

    model: nn.Module
    objective: Objective
    prepare: Prepare | None = None
    """Called before every epoch with the model and the share of the training that is done."""


class Files(Protocol):
    """The folder in which a task leaves files for the report: that of a run."""

    def file(self, name: str) -> Path:
        """A file of the run."""


class Gallery(Protocol):
    """Files for the report of what each state of a network, or each case of a comparison, does with the test set."""

    def add(self, name: str, model: nn.Module, measured: Measured) -> None:
        """Take in one of them.

        Args:
            name: What to call it.
            model: In eval mode, on the device of the run.
            measured: On the test set.
        """

    def write(self) -> None:
        """Write the files."""


class Observer(Protocol):
    """What a task notes beside one training of a comparison."""

    def before_epoch(self, model: nn.Module, done: float) -> None:
        """Note something of `model` before an epoch; `done` is the share of the training that is over."""

    def finish(self, model: nn.Module) -> None:
        """Note something of the trained model."""


class Subject(NamedTuple):
    """One training of a comparison, as an observer needs to know it."""

    case: Case
    seed: int
    name: str
    """Name of the training, as in `metrics.jsonl`."""
    is_first: bool
    """Whether it is of the first seed, that of the run."""


class Prediction(NamedTuple):
    """A request for what a trained model says of a user's own samples."""

    inputs: Sequence[str]
    """Files, folders or names, as the task takes them."""
    out: Path
    """Folder to write to."""
    source: str = ""
    """Set that the names are of, where the task has sets."""
    threshold: float = 0.25
    """Least score of what is told, where the task has scores."""
    device: str = "auto"
    case: str = ""
    """What the model is called in what is written."""


class Task(ABC, Generic[Config]):
    """One kind of problem, with everything that is its own."""

    name: ClassVar[str]
    """Name of the task, as `task` of a config has it."""
    title: ClassVar[str]
    """What the network does, in a few words."""
    config: type[Config]
    """Class of the configs of its runs."""
    metric: ClassVar[Metric]
    """The primary metric: it decides which epoch is best, and a report tells its story."""
    samples: ClassVar[str] = "samples"
    """What the task calls its samples, in the plural."""
    shared: ClassVar[tuple[str, ...] | None] = None
    """Keys of the interface that teacher and student must share; None is all."""
    predicts: ClassVar[bool] = False
    """Whether `predict` says something of a user's own files."""
    classifies: ClassVar[bool] = False
    """Whether the largest output of its networks is one of the labels, so that sweeps over chips can count them."""

    def recipes(self) -> Mapping[str, Callable[..., Config]]:
        """Recipes that a task of another package brings, by name, such as `mine/quick`; built-in ones have a room."""
        return {}

    def check(self, config: Config) -> None:
        """Refuse a config whose run could not be, before anything is read; here every one could.

        Raises:
            RequestError: It would not fit into memory, for one.
        """

    @abstractmethod
    def data(self, config: Config) -> TaskData:
        """Read what the network learns from; the last set stays in memory for the next call.

        Raises:
            RequestError: There is no such set, it is unfit, or it would not fit into memory.
        """

    def forget(self) -> None:
        """Read data anew at the next call: files may have changed since the last run of this process."""

    def chip_data(self, config: Config) -> TaskData:
        """What the network learns and is measured on once it is on a chip; the same as before unless said otherwise."""
        return self.data(config)

    def example(self, data: Any) -> Any:
        """The input of one inference, which the cost is of: the first test sample."""
        return data.test.inputs[torch.tensor([0])]

    @abstractmethod
    def interface(self, data: Any) -> Interface:
        """What the weights of a model that learned from this data are for."""

    def augment(self, config: Config, on_chip: bool) -> Augment | None:
        """What is changed at random in the samples of a training step.

        Args:
            config: Of the run.
            on_chip: Whether the chip learns.
        """
        return None

    def chance(self, data: Any) -> float | None:
        """The primary metric of a network that guesses; None where there is no such figure."""
        return None

    def difference(self, config: Config, first: Config) -> str | None:
        """The key of the data in which two cases differ, so that they cannot be compared; None where there is none.

        Args:
            config: Config of one case.
            first: Config of the case that it is compared with.
        """
        return None

    @abstractmethod
    def model(self, config: Config, interface: Interface, data: Any = None) -> nn.Module:
        """The model of a config with first weights drawn from its seed.

        Args:
            config: Of the run, or of one case of it.
            interface: What its weights are for.
            data: What it will learn from, where first weights depend on that; None where trained weights follow.
        """

    def adapt(self, model: nn.Module, config: Config, chip_interface: Interface) -> None:
        """Make a trained model ready for what the chip learns, in place; nothing where that is the same.

        Args:
            model: The trained model.
            config: Config of the run.
            chip_interface: What the weights are for on the chip.
        """

    def forward_model(self, model: nn.Module, config: Config) -> nn.Module:
        """The module that is trained and measured: the model, or a wrapper that shares its weights.

        Args:
            model: The model.
            config: Config of the run.
        """
        return model

    @abstractmethod
    def objective(self, model: nn.Module, config: Config) -> Objective:
        """The loss that a model is trained with, and its metrics.

        Args:
            model: The model to train.
            config: Config of the run.
        """

    def measure(self, model: nn.Module, config: Config, data: Any) -> Measured:
        """How good a model is.

        Args:
            model: As `forward_model` gives it.
            config: Of the run.
            data: The part of the data to measure on.
        """
        return Measured(dict(self.objective(model, config).evaluate(model, data)))

    def teacher(self, config: Config) -> str:
        """Who teaches: a case that comes before or the folder of a run; "" is nobody."""
        return ""

    def plan(self, model: nn.Module, config: Config, data: Any, teacher: nn.Module | None) -> TrainingPlan:
        """What trains, and for what.

        Args:
            model: With first weights; it may take some of the teacher's.
            config: Of the training.
            data: What it learns from.
            teacher: The trained model that `teacher` names, or None.

        Raises:
            RequestError: The teacher does not fit.
        """
        return TrainingPlan(self.forward_model(model, config), self.objective(model, config))

    def observer(self, files: Files, config: Config, data: Any, subject: Subject) -> Observer | None:
        """What is noted beside a training of a comparison; None is nothing.

        Args:
            files: Folder of the run.
            config: Config of the training.
            data: Data that the training learns from.
            subject: The training.
        """
        return None

    def compared(self, files: Files, configs: Sequence[Config]) -> None:
        """Leave what the report of a comparison needs once all of it is trained.

        Args:
            files: Of the run.
            configs: Of all trainings.
        """

    def gallery(self, files: Files, config: Config, data: Any) -> Gallery | None:
        """What collects files for the report; None where the metrics say it all.

        Args:
            files: Folder of the run.
            config: Config of the run.
            data: Data of the run.
        """
        return None

    def facts(self, data: Any) -> dict[str, Any]:
        """What a reader should know about the data of a run, such as the hash of a text; goes to its `data.json`."""
        return {}

    def sections(self) -> Sequence[SectionBuilder]:
        """What builds the sections that the report of a run has of this task's own, from the run's folder."""
        return ()

    def predict(self, model: nn.Module, config: Config, interface: Interface, request: Prediction) -> dict[str, Any]:
        """What a trained model says of a user's own samples, written to a folder.

        Args:
            model: The trained model.
            config: Config that it was trained with.
            interface: What its weights are for.
            request: The samples, and where to write.

        Raises:
            RequestError: The task predicts nothing from files, or the request does not fit.
        """
        raise RequestError(
            f"A run of the task `{self.name}` predicts nothing from files; call its network from Python."
        )
