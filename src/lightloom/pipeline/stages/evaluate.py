"""The stage that measures every state of the network, or every case of a comparison, on the test set."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from lightloom.common.processes import best_device
from lightloom.common.progress import follow
from lightloom.pipeline.cases import load_case
from lightloom.pipeline.comparison import first_trainings
from lightloom.pipeline.context import RunContext
from lightloom.schemas import Evaluation, write


class _Candidate(NamedTuple):
    """A network that is measured."""

    name: str
    model: nn.Module
    config: Any
    data: Any


def evaluate(run: RunContext) -> None:
    """Measure each network, and let the task leave what the report shows of them.

    States of one network are measured on the test set of what they were trained for, and with the same light.
    """
    compares, device = "sweep" in run.config.stages, best_device(run.config.device)
    count = len(run.config.sweep.cases) if compares else len(run.states)
    candidates = _cases(run) if compares else _states(run)
    gallery, metrics = None, {}
    with follow("evaluate", count) as report:
        for number, (name, model, config, data) in enumerate(candidates, 1):
            if gallery is None:
                gallery = run.task.gallery(run.folder, config, data)
            model.eval().to(device)
            measured = run.task.measure(run.task.forward_model(model, config), config, data.test.to(device))
            metrics[name] = {key: value for key, value in measured.metrics.items() if math.isfinite(value)}
            if gallery is not None:
                gallery.add(name, model.eval(), measured)
            report(number, name)
    if not compares:
        metric = run.task.metric.replace(chance=run.task.chance(run.chip_data))
        write(run.folder.file("evaluation.json"), Evaluation(metric=metric, states=metrics))
    if gallery is not None:
        gallery.write()


def _states(run: RunContext) -> Iterator[_Candidate]:
    for state in run.states:
        run.seed_noise(state)  # what is read may be noisy
        yield _Candidate(state, run.network(state), run.config, run.data if state == "electronic" else run.chip_data)


def _cases(run: RunContext) -> Iterator[_Candidate]:
    for training in first_trainings(run.config):
        data = run.task.data(training.config)
        model = load_case(run.folder, training, run.task.interface(data)).model
        torch.manual_seed(training.noise_seed)  # the same noise as when it was trained
        yield _Candidate(training.case.name, model, training.config, data)
