"""The cases of a comparison: each trained, perhaps by one before it, and read back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from lightloom import learn as learning
from lightloom.common import processes
from lightloom.common.errors import RequestError, nearest
from lightloom.common.processes import is_main
from lightloom.config import RunConfig
from lightloom.learn.checkpoint import Progress
from lightloom.pipeline.case_store import check_interface, read_interface, save_case, weights_of
from lightloom.pipeline.comparison import Training, first_trainings
from lightloom.pipeline.context import RunContext
from lightloom.pipeline.run_folder import RunFolder
from lightloom.schemas import SweepRow
from lightloom.tasks import task_of
from lightloom.tasks.base import Interface, Measured, Subject

_REHEARSED = 2  # samples that every network is shown before the first is trained


class Trained(NamedTuple):
    """A network as it was trained, in eval mode."""

    name: str
    """Name of the case, or of the state of the run's network."""
    model: nn.Module
    config: RunConfig
    interface: Interface
    """What the weights of the network are for."""


def rehearse_case(training: Training, planned: Sequence[Training]) -> None:
    """Build the network of a case and show it, and its teacher, two samples.

    Args:
        training: The case.
        planned: All trainings of the comparison.

    Raises:
        RequestError: It cannot be built or seen through, it is measured on other data than the first case, or its
            teacher does not fit.
    """
    task, config = task_of(training.config), training.config
    key = task.difference(config, planned[0].config)
    if key is not None:
        raise RequestError(
            f"It looks at other {task.samples} than the first case (`{key}`), so their metrics could not be compared; "
            "change that for the whole run."
        )
    data = task.data(config)
    interface = task.interface(data)
    model = task.model(config, interface, data)
    with torch.no_grad():
        task.forward_model(model, config).eval()(data.train.inputs[torch.arange(min(_REHEARSED, len(data.train)))])
    name = task.teacher(config)
    if name:
        source = case_before(name, training, planned)
        teacher = load_teacher(name, interface) if source is None else task.model(source.config, interface, data)
        plan = task.plan(model, config, data, teacher)
        if plan.prepare is not None:
            plan.prepare(plan.model, 0.0)


def train_case(folder: RunFolder, training: Training, planned: Sequence[Training]) -> SweepRow:
    """Train and measure one case; the row of it in `sweep.json`.

    Args:
        folder: Of the run.
        training: The case.
        planned: All trainings of the comparison.
    """
    config, started = training.config, time.perf_counter()
    task = task_of(config)
    data = task.data(config)
    interface = task.interface(data)
    model = task.model(config, interface, data)
    plan = task.plan(model, config, data, _teacher(folder, training, planned, interface))
    subject = Subject(training.case, training.seed, training.name, training.seed == folder.config.seed)
    observer = task.observer(folder, config, data, subject)

    def prepare(trained: nn.Module, done: float) -> None:
        if plan.prepare is not None:
            plan.prepare(trained, done)
        if observer is not None:
            observer.before_epoch(trained, done)

    progress = learning.fit(
        plan.model,
        learning.TrainingData(data.train, data.validation, task.augment(config, False)),
        plan.objective,
        config.train,
        learning.Session(folder.path, training.name, training.seed, config.device),
        prepare=None if plan.prepare is None and observer is None else prepare,
    )
    torch.manual_seed(training.noise_seed)  # what is read may be noisy
    test = data.test.to(next(model.parameters()).device)
    measured = task.measure(task.forward_model(model, config), config, test)
    if observer is not None:
        observer.finish(task.forward_model(model, config))
    if is_main():
        save_case(folder, training, model, interface)
    processes.wait(config.device)  # the next case may learn from this one, in every process
    return _row(training, model, progress, measured, time.perf_counter() - started)


def _teacher(
    folder: RunFolder, training: Training, planned: Sequence[Training], interface: Interface
) -> nn.Module | None:
    name = task_of(training.config).teacher(training.config)
    if not name:
        return None
    source = case_before(name, training, planned)
    return load_teacher(name, interface) if source is None else load_case(folder, source, interface).model


def _row(training: Training, model: nn.Module, progress: Progress, measured: Measured, seconds: float) -> SweepRow:
    """What a trained case is in `sweep.json`."""
    task = task_of(training.config)
    return SweepRow(
        case=training.case.name,
        series=training.case.series or training.case.name,
        x=training.case.x,
        seed=training.seed,
        metric=task.metric,
        metrics=measured.metrics,
        per_class=dict(measured.per_class),
        teacher=task.teacher(training.config),
        loss=measured.metrics.get("loss"),
        validation=progress.best,
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        seconds=round(seconds, 3),
        parameters=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
    )


def load_case(folder: RunFolder, training: Training, interface: Interface | None = None) -> Trained:
    """The network of a case as it was trained.

    Args:
        folder: Of the run.
        training: The case.
        interface: What its weights are to be for; None takes what they are for.

    Raises:
        RequestError: It was not trained yet, or for something else.
    """
    own = read_interface(folder, training, interface)
    model = task_of(training.config).model(training.config, own)
    learning.load_weights(model, weights_of(folder, training))
    return Trained(training.case.name, model.eval(), training.config, own)


def load_trained(folder: RunFolder, name: str = "") -> Trained:
    """A network of a run: a case of its comparison with its first seed, or a state of its network.

    Args:
        folder: Of the run.
        name: Of the case or the state; "" is the last one.

    Raises:
        RequestError: There is no such case or state, or it was not trained yet.
    """
    if "sweep" in folder.config.stages:
        return load_case(folder, case_of(folder, name))
    run = RunContext(folder)
    latest = run.latest_state()
    if name and name not in run.states:
        raise RequestError(f"The run in `{folder.path}` holds no state `{name}`. {nearest(name, run.states)}")
    state = name or latest
    data = run.data if state == "electronic" else run.chip_data
    return Trained(state, run.network(state).eval(), run.config, run.task.interface(data))


def load_teacher(name: str, interface: Interface) -> nn.Module:
    """The trained network of another run, `FOLDER`, `FOLDER:CASE` or `FOLDER:STATE`, to teach.

    Args:
        name: As the config names it.
        interface: What its weights are to be for.

    Raises:
        RequestError: There is no such run, or its network is for something else.
    """
    path, _, case = name.partition(":")
    if not (Path(path) / "config.yaml").exists():
        raise RequestError(
            f"The teacher `{name}` is no folder of a run, and this run has no case that could teach; name a folder."
        )
    trained = load_trained(RunFolder.open(Path(path)), case)
    check_interface(Path(path), trained.interface, interface, task_of(trained.config).shared)
    return trained.model


def case_of(folder: RunFolder, name: str = "") -> Training:
    """A case of a run with its first seed; without a name the last one.

    Args:
        folder: Of the run.
        name: Of the case.

    Raises:
        RequestError: The run has no such case.
    """
    first = first_trainings(folder.config)
    by_name = {training.case.name: training for training in first}
    if name and name not in by_name:
        raise RequestError(f"The run in `{folder.path}` has no case `{name}`. {nearest(name, by_name)}")
    return by_name[name] if name else first[-1]


def case_before(name: str, training: Training, planned: Sequence[Training]) -> Training | None:
    """The case of a comparison that teaches another one: one that comes before, with the same seed.

    Args:
        name: Of the teacher, as the config has it.
        training: Whom it teaches.
        planned: All trainings of the comparison.

    Returns:
        The case, or None where the name is that of a folder of a run, see `load_teacher`.

    Raises:
        RequestError: There is no such case or folder.
    """
    before = {other.case.name: other for other in planned[: planned.index(training)] if other.seed == training.seed}
    if name in before:
        return before[name]
    if (Path(name.partition(":")[0]) / "config.yaml").exists():
        return None
    hint = nearest(name, before) if before else "None comes before it."
    raise RequestError(f"The teacher `{name}` is no case that comes before, and no folder of a run. {hint}")
