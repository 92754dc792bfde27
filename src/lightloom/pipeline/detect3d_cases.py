"""The 3-D detectors of a comparison: each trained, perhaps by one before it, kept, and found again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import nn

from lightloom import learn as learning
from lightloom.common import processes
from lightloom.common.errors import RequestError
from lightloom.common.processes import is_main
from lightloom.common.seeds import named_seed
from lightloom.config import RunConfig
from lightloom.data.multicamera import Views, view_augmentation
from lightloom.learn import DistillationModel, DistillationObjective
from lightloom.nn.backbones import SIZES
from lightloom.pipeline.case_store import (
    keep_weights,
    known_channels,
    known_classes,
    noise_seed,
    row_of,
    start_from,
    teacher_of,
    weights_of,
)
from lightloom.pipeline.comparison import Training
from lightloom.pipeline.detectors3d import Surroundings, build_detector3d, read_surroundings
from lightloom.pipeline.run_folder import RunFolder
from lightloom.tasks.detection3d import Detection3DObjective, Detector3D, build_distiller

_TRIED = 2  # moments that every detector is shown before the first is trained

# the moments of a training stay for the next one, which mostly has the same
_read = lru_cache(maxsize=1)(read_surroundings)

Prepare = Callable[[nn.Module, float], None]


def surroundings_of(config: RunConfig) -> Surroundings:
    """The framed moments of a config, kept until others are asked for."""
    wanted = config.detect3d
    size = wanted.detector
    return _read(wanted.scenes, size.area, size.history, config.data.root, config.seed)


def rehearse_case(training: Training, asked: Sequence[Training]) -> None:
    """Build the detector of a case and show it, and its teacher, two moments.

    Raises:
        RequestError: It cannot be built or seen through, it looks at other moments than the first case, or there is no
            such teacher, or none whose decoder it can start from.
    """
    _check_alike(training.config, asked[0].config)
    scenes = surroundings_of(training.config)
    detector = build_detector3d(training.config, len(scenes.classes)).eval()
    with torch.no_grad():
        detector(_sample(scenes))
    wanted = training.config.detect3d.distil.teacher
    if wanted:
        home, source = teacher_of(wanted, training, asked)
        if home is None:
            teacher = build_detector3d(source.config, len(scenes.classes))
        else:
            teacher = load_case(home, source, scenes.classes).detector
        _begin(detector, teacher, training.config.detect3d.start)
        distillation, _, prepare = _build_distillation(detector, teacher, training.config, scenes)
        prepare(distillation, 0.0)


def _check_alike(config: RunConfig, first: RunConfig) -> None:
    own, shared = (each.detect3d.scenes.model_dump(exclude={"augment", "limit"}) for each in (config, first))
    other = [f"scenes.{key}" for key in own if own[key] != shared[key]]
    sizes = (config.detect3d.detector, first.detect3d.detector)
    other += [f"detector.{key}" for key in ("area", "history") if getattr(sizes[0], key) != getattr(sizes[1], key)]
    if other:
        raise RequestError(
            f"It looks at other moments than the first case (`detect3d.{other[0]}`), so their figures could not be "
            "compared; change that for the whole run."
        )


def _sample(scenes: Surroundings) -> Views:
    return scenes.train.images[torch.arange(min(_TRIED, len(scenes.train)))]


def train_case(folder: RunFolder, training: Training, asked: Sequence[Training]) -> dict[str, Any]:
    """Train and measure one detector; the row of it in `sweep.json`."""
    config, started = training.config, time.perf_counter()
    wanted, scenes = config.detect3d, surroundings_of(config)
    detector = build_detector3d(config, len(scenes.classes))
    model, task, prepare = _plan(folder, training, asked, detector)
    progress = learning.fit(
        model,
        learning.TrainingData(scenes.train, scenes.validation, view_augmentation(wanted.scenes.augment)),
        task,
        config.train,
        learning.Session(folder.path, training.name, training.seed, config.device),
        prepare=prepare,
    )
    torch.manual_seed(noise_seed(training))  # what is read may be noisy
    figures, _ = Detection3DObjective(detector).measure(detector, scenes.test)
    if is_main():
        keep_weights(folder, training, detector, scenes.classes, scenes.channels)
    processes.wait(config.device)  # the next case may learn from this one, in every process
    return row_of(
        training,
        detector,
        progress,
        time.perf_counter() - started,
        measure="NDS",
        figures=figures.means,
        per_class=figures.per_class,
        teacher=wanted.distil.teacher,
    )


def _plan(
    folder: RunFolder, training: Training, asked: Sequence[Training], detector: Detector3D
) -> tuple[nn.Module, learning.Objective, Prepare | None]:
    """What trains, what for, and what is prepared before each epoch: the detector itself, or with its teacher."""
    config = training.config
    if not config.detect3d.distil.teacher:
        return detector, Detection3DObjective(detector), None
    scenes = surroundings_of(config)
    home, source = teacher_of(config.detect3d.distil.teacher, training, asked)
    teacher = load_case(home or folder, source, scenes.classes).detector
    _begin(detector, teacher, config.detect3d.start)
    return _build_distillation(detector, teacher, config, scenes)


def _begin(detector: Detector3D, teacher: Detector3D, start: str) -> None:
    """Take the first weights of the teacher where they are asked for."""
    if start == "teacher":
        start_from(detector, teacher)
    if start != "head":
        return
    for field in ("kind", "channels"):
        own, known = getattr(detector.config, field), getattr(teacher.config, field)
        if own != known:
            raise RequestError(
                f"`start: head` takes the teacher's decoder, and `detector.{field}` is {own} here and {known} there; "
                "give both the same, or leave `start` out."
            )
    start_from(detector.decoder, teacher.decoder)


def _build_distillation(
    detector: Detector3D, teacher: Detector3D, config: RunConfig, scenes: Surroundings
) -> tuple[DistillationModel, DistillationObjective, Prepare]:
    """A detector with its teacher, and what guides it to where objects are."""
    wanted, sample = config.detect3d, _sample(scenes)
    torch.manual_seed(named_seed(config.seed, "pupil"))
    distiller = build_distiller(wanted.guide, detector, teacher, sample)
    distil = DistillationObjective(
        Detection3DObjective(detector), wanted.distil, detector.head_modules if wanted.distil.strategy == "two" else ()
    )
    return DistillationModel(detector, teacher, sample, wanted.distil, distiller=distiller), distil, distil.prepare


class Trained(NamedTuple):
    """A detector as it was trained, in eval mode, what it tells apart, and the cameras it looks through."""

    detector: Detector3D
    classes: tuple[str, ...]
    channels: tuple[str, ...]


def load_case(folder: RunFolder, training: Training, classes: Sequence[str] | None = None) -> Trained:
    """The detector of a case as it was trained.

    Args:
        folder: Of the run.
        training: The case.
        classes: What it is to tell apart, in this order; None takes what it knows.

    Raises:
        RequestError: It was not trained yet, or for other classes.
    """
    known = known_classes(folder, training, classes)
    detector = build_detector3d(_without_checkpoint(training.config), len(known))
    learning.load_weights(detector, weights_of(folder, training))
    return Trained(detector.eval(), known, known_channels(folder, training))


def _without_checkpoint(config: RunConfig) -> RunConfig:
    """The same without pretrained weights, where a named size says the shapes: the weights to come are others."""
    wanted = config.detect3d
    if wanted.backbone.name not in SIZES:
        return config
    return config.replace(detect3d=wanted.replace(backbone=wanted.backbone.replace(pretrained=None)))
