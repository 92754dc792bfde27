"""The moments of a multi-camera run, and its detector, as the config asks for them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import NamedTuple

import torch

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.config import MomentsConfig, RunConfig
from lightloom.data.detection import Problem
from lightloom.data.multicamera import BEVRange, MultiCameraSet, letterbox_samples, load_multicamera
from lightloom.data.nuscenes import Moment
from lightloom.nn import convert, install, misalign
from lightloom.nn.backbones import Backbone, build_backbone
from lightloom.pipeline.optical_backbones import make_optical
from lightloom.tasks.detection3d import Detector3D

_LOG = logging.getLogger("lightloom")


class Surroundings(NamedTuple):
    """Framed moments with boxes, ready to train on."""

    train: MultiCameraSet
    validation: MultiCameraSet
    test: MultiCameraSet
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    """What was wrong with the set, and what became of it."""


def read_surroundings(
    wanted: MomentsConfig, area: BEVRange, history: int, root: Path | None, seed: int
) -> Surroundings:
    """Read, check and frame a multi-camera set.

    Args:
        wanted: Which, and the frame.
        area: Boxes with their centre outside are no targets.
        history: Moments of each view.
        root: Folder with the sets' folders; None is `LIGHTLOOM_DATA`.
        seed: Draws the scenes that validate where a set does not say which.

    Raises:
        RequestError: There is no such set, its files are unfit, or a split has no box to learn or to measure.
    """
    splits = load_multicamera(
        wanted.name,
        root,
        version=wanted.version,
        cameras=wanted.cameras,
        limit=wanted.limit,
        seed=seed,
        town=wanted.town,
    )
    for problem in splits.problems:
        _LOG.warning("%s: %s (%s).", problem.where, problem.what, problem.done)

    def letterboxed(split: str, moments: tuple[Moment, ...]) -> MultiCameraSet:
        part = letterbox_samples(
            moments,
            splits.channels,
            wanted.height,
            wanted.width,
            area=area,
            history=history,
            least_points=wanted.least_points,
        )
        if not (part.labels[..., -1] >= 0).any():
            raise RequestError(
                f"No moment of the split `{split}` of `{wanted.name}` has a box within {area}, so there is nothing to "
                "learn or to measure; widen `detect3d.detector.area`, or mend its annotations."
            )
        return part

    return Surroundings(
        letterboxed("train", splits.train),
        letterboxed("validation", splits.validation),
        letterboxed("test", splits.test),
        splits.classes,
        splits.channels,
        splits.problems,
    )


def build_detector3d(config: RunConfig, classes: int) -> Detector3D:
    """The detector of a config with first weights drawn from its seed; what of it is light or on a chip is so already.

    Args:
        config: Of the run, or of one case of it.
        classes: How many there are to tell apart.
    """
    torch.manual_seed(named_seed(config.seed, "model"))
    wanted = config.detect3d
    backbone = build_backbone(wanted.backbone.name, pretrained=wanted.backbone.pretrained)
    if wanted.backbone.frozen is not None:
        backbone.freeze(wanted.backbone.frozen, norms=wanted.backbone.pretrained is not None)
    shrink = wanted.detector.shrink
    shape = (wanted.scenes.height // shrink, wanted.scenes.width // shrink)
    make_optical(backbone, wanted.hybrid, config.optics.diffraction, shape)
    if wanted.converted:
        _put_on_chip(backbone, config)
    detector = Detector3D(backbone, classes, wanted.detector)
    misalign(detector, config.specimen)
    return detector


def _put_on_chip(backbone: Backbone, config: RunConfig) -> None:
    """Layers become tensor cores of the chip, made of the devices of the specimen of the run."""
    convert(backbone, config.chip, only=config.detect3d.converted, inplace=True)
    install(backbone, config.specimen)
