"""The scenes of a detection run, and its detector, as the config asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import torch

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.config import RunConfig, ScenesConfig
from lightloom.data.detection import LetterboxedSet, Problem, letterbox, load_detection
from lightloom.nn import misalign
from lightloom.nn.backbones import (
    build_backbone,
)
from lightloom.pipeline.optical_backbones import make_optical
from lightloom.tasks.detection2d import Detector
from lightloom.tasks.detection2d.transformers import TransformersDetector, build_transformers_detector

AnyDetector = Detector | TransformersDetector


class Scenes(NamedTuple):
    """Framed images with boxes, ready to train on."""

    train: LetterboxedSet
    validation: LetterboxedSet
    test: LetterboxedSet
    classes: tuple[str, ...]
    problems: tuple[Problem, ...]
    """What was wrong with the files, and what became of it."""

    @property
    def white(self) -> float | None:
        """What is white in the images of more than 8 bits; None where there are none."""
        records = (record for part in (self.train, self.validation, self.test) for record in part.source.records)
        return next((record.white for record in records if record.white is not None), None)


def read_scenes(wanted: ScenesConfig, root: Path | None, seed: int) -> Scenes:
    """Read, check and frame a detection set.

    Args:
        wanted: Which, and the frame.
        root: Folder with the sets' folders; None is `LIGHTLOOM_DATA`.
        seed: Divides training from validation where a set does not itself.
    """
    size = (wanted.height, wanted.width)
    splits = load_detection(
        wanted.name,
        root,
        seed=seed,
        limit=wanted.limit,
        on_invalid=wanted.on_invalid,
        decode=wanted.decode,
        count=wanted.count,
        size=size,
        white=wanted.white,
    )
    train, validation, test = (
        letterbox(part, wanted.height, wanted.width) for part in (splits.train, splits.validation, splits.test)
    )
    for part in (train, validation, test):
        if not (part.labels[..., 4] >= 0).any():
            known = next((f" {problem.where}: {problem.what}." for problem in part.source.problems), "")
            raise RequestError(
                f"No image of `{part.source.name}` has a box, so there is nothing to learn or to measure there; "
                f"mend its annotations, or leave that split away.{known}"
            )
    return Scenes(train, validation, test, splits.classes, splits.problems)


def build_detector(config: RunConfig, classes: int) -> AnyDetector:
    """The detector of a config with first weights drawn from its seed; its optical stages are there already.

    Args:
        config: Of the run, or of one case of it.
        classes: How many there are to tell apart.
    """
    torch.manual_seed(named_seed(config.seed, "model"))
    wanted = config.detect.backbone
    if config.detect.kind != "fcos":
        found = build_transformers_detector(
            config.detect.kind, classes, size=wanted.size, pretrained=wanted.pretrained, rehead=True
        )
        make_optical(found.backbone, config.detect.hybrid, config.optics.diffraction, _shape(config))
        misalign(found, config.specimen)
        return found
    backbone = build_backbone(wanted.name, pretrained=wanted.pretrained)
    if wanted.frozen is not None:  # before there are optical stages, which have everything to learn
        backbone.freeze(wanted.frozen, norms=wanted.pretrained is not None)
    make_optical(backbone, config.detect.hybrid, config.optics.diffraction, _shape(config))
    detector = Detector(backbone, classes, config.detect.head)
    misalign(detector, config.specimen)
    return detector


def _shape(config: RunConfig) -> tuple[int, int]:
    return config.detect.scenes.height, config.detect.scenes.width
