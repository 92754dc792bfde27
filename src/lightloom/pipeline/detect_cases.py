"""The detectors of a comparison: each trained, perhaps by one before it, kept, and found again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lightloom import learn as learning
from lightloom.common import processes
from lightloom.common.errors import RequestError
from lightloom.common.processes import is_main
from lightloom.config import RunConfig
from lightloom.data.detection import augmentation
from lightloom.learn import DistillationModel, DistillationObjective
from lightloom.nn.backbones import SIZES
from lightloom.pipeline.case_store import (
    keep_weights,
    known_classes,
    known_white,
    noise_seed,
    row_of,
    start_from,
    teacher_of,
    weights_of,
)
from lightloom.pipeline.comparison import Training
from lightloom.pipeline.detectors import AnyDetector, Scenes, build_detector, read_scenes
from lightloom.pipeline.run_folder import RunFolder
from lightloom.tasks.detection2d import Detection2DObjective

_TRIED = 2  # images that every detector is shown before the first is trained

# the scenes of a training stay for the next one, which mostly has the same
_read = lru_cache(maxsize=1)(read_scenes)


def scenes_of(config: RunConfig) -> Scenes:
    """The framed images of a config, kept until others are asked for."""
    return _read(config.detect.scenes, config.data.root, config.seed)


def rehearse_case(training: Training, asked: Sequence[Training]) -> None:
    """Build the detector of a case and show it, and its teacher, two images.

    Raises:
        RequestError: It cannot be built or seen through, it looks at other scenes than the first case, or there is no
            such teacher.
    """
    _check_scenes(training.config, asked[0].config)
    scenes = scenes_of(training.config)
    detector = build_detector(training.config, len(scenes.classes)).eval()
    with torch.no_grad():
        detector(_sample(scenes))
    wanted = training.config.detect
    if wanted.distil.teacher:
        home, source = teacher_of(wanted.distil.teacher, training, asked)
        if home is None:
            teacher = build_detector(source.config, len(scenes.classes))
        else:
            teacher = load_case(home, source, scenes.classes).detector
        distillation, _, prepare = _build_distillation(detector, teacher, training.config, scenes)
        prepare(distillation, 0.0)


def _check_scenes(config: RunConfig, first: RunConfig) -> None:
    own, shared = (each.detect.scenes.model_dump(exclude={"augment", "limit"}) for each in (config, first))
    other = [key for key in own if own[key] != shared[key]]
    if other:
        raise RequestError(
            f"It looks at other scenes than the first case (`detect.scenes.{other[0]}`), so their figures could not be "
            "compared; change the scenes of the run."
        )


def _sample(scenes: Scenes) -> Tensor:
    return scenes.train.images[torch.arange(min(_TRIED, len(scenes.train)))]


def train_case(folder: RunFolder, training: Training, asked: Sequence[Training]) -> dict[str, Any]:
    """Train and measure one detector; the row of it in `sweep.json`."""
    config, started = training.config, time.perf_counter()
    wanted, scenes = config.detect, scenes_of(config)
    detector = build_detector(config, len(scenes.classes))
    model, task, prepare = _plan(folder, training, asked, detector)
    progress = learning.fit(
        model,
        learning.TrainingData(scenes.train, scenes.validation, augmentation(wanted.scenes.augment)),
        task,
        config.train,
        learning.Session(folder.path, training.name, training.seed, config.device),
        prepare=prepare,
    )
    torch.manual_seed(noise_seed(training))  # what is read may be noisy
    precision, _ = Detection2DObjective(detector).measure(detector, scenes.test)
    if is_main():
        keep_weights(folder, training, detector, scenes.classes, white=scenes.white)
    processes.wait(config.device)  # the next case may learn from this one, in every process
    return row_of(
        training,
        detector,
        progress,
        time.perf_counter() - started,
        measure="AP",
        figures=precision.metrics,
        per_class=precision.per_class,
        teacher=wanted.distil.teacher,
    )


Prepare = Callable[[nn.Module, float], None]


def _plan(
    folder: RunFolder, training: Training, asked: Sequence[Training], detector: AnyDetector
) -> tuple[nn.Module, learning.Objective, Prepare | None]:
    """What trains, what for, and what is prepared before each epoch: the detector itself, or with its teacher."""
    config = training.config
    if not config.detect.distil.teacher:
        return detector, Detection2DObjective(detector), None
    scenes = scenes_of(config)
    home, source = teacher_of(config.detect.distil.teacher, training, asked)
    teacher = load_case(home or folder, source, scenes.classes).detector
    if config.detect.start == "teacher":
        start_from(detector, teacher)
    return _build_distillation(detector, teacher, config, scenes)


def _build_distillation(
    detector: AnyDetector, teacher: AnyDetector, config: RunConfig, scenes: Scenes
) -> tuple[DistillationModel, DistillationObjective, Prepare]:
    """A detector with its teacher. What follows the backbone waits while distillation trains alone, as published."""
    wanted = config.detect.distil
    distil = DistillationObjective(
        Detection2DObjective(detector), wanted, detector.head_modules if wanted.strategy == "two" else ()
    )
    return DistillationModel(detector, teacher, _sample(scenes), wanted), distil, distil.prepare


class Trained(NamedTuple):
    """A detector as it was trained, in eval mode, what it tells apart, and what was white in images of over 8 bits."""

    detector: AnyDetector
    classes: tuple[str, ...]
    white: float | None = None


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
    detector = build_detector(_without_checkpoint(training.config), len(known))
    learning.load_weights(detector, weights_of(folder, training))
    return Trained(detector.eval(), known, known_white(folder, training))


def _without_checkpoint(config: RunConfig) -> RunConfig:
    """The same without pretrained weights, where a named size says the shapes: the weights to come are others."""
    wanted = config.detect
    if wanted.kind != "fcos" or wanted.backbone.name not in SIZES:
        return config
    return config.replace(detect=wanted.replace(backbone=wanted.backbone.replace(pretrained=None)))
