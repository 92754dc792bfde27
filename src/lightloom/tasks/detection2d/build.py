"""The scenes of a detection run, and its detector, as the config asks for them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.data.detection import LetterboxedSet, Problem, ReadOptions, ShapesOptions, letterbox, load_detection
from lightloom.nn import misalign
from lightloom.nn.backbones import SIZES, build_backbone
from lightloom.tasks.detection2d.config import Detection2DConfig, DetectionDataConfig
from lightloom.tasks.detection2d.detector import Detector
from lightloom.tasks.detection2d.transformers import TransformersDetector, build_transformers_detector
from lightloom.tasks.hybrid.backbone import make_optical

AnyDetector = Detector | TransformersDetector


class DetectionData(NamedTuple):
    """Letterboxed images with boxes, ready to train on."""

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


@lru_cache(maxsize=1)  # the scenes of a training stay for the next one, which mostly has the same
def read_detection_data(data_config: DetectionDataConfig, seed: int) -> DetectionData:
    """Read, check and frame a detection set.

    Args:
        data_config: Which, and the frame.
        seed: Divides training from validation where a set does not itself.
    """
    splits = load_detection(
        data_config.name,
        data_config.root,
        seed=seed,
        limit=data_config.limit,
        reading=ReadOptions(data_config.on_invalid, data_config.decode, data_config.white),
        drawing=ShapesOptions(data_config.count, (data_config.height, data_config.width)),
    )
    train, validation, test = (
        letterbox(part, data_config.height, data_config.width)
        for part in (splits.train, splits.validation, splits.test)
    )
    for part in (train, validation, test):
        if not (part.labels[..., 4] >= 0).any():
            hint = next((f" {problem.where}: {problem.what}." for problem in part.source.problems), "")
            raise RequestError(
                f"No image of `{part.source.name}` has a box, so there is nothing to learn or to measure there; "
                f"mend its annotations, or leave that split away.{hint}"
            )
    return DetectionData(train, validation, test, splits.classes, splits.problems)


def build_detector(config: Detection2DConfig, classes: int, *, pretrained: bool = True) -> AnyDetector:
    """The detector of a config with first weights drawn from its seed; its optical stages are there already.

    Args:
        config: Of the run, or of one case of it.
        classes: How many there are to tell apart.
        pretrained: Whether to read the backbone's weights that the config names; not where trained weights follow, and
            a named size says the shapes.
    """
    torch.manual_seed(named_seed(config.seed, "model"))
    model, backbone_config = config.model, config.model.backbone
    shape = config.data.height, config.data.width
    if model.kind != "fcos":
        transformer = build_transformers_detector(
            model.kind, classes, size=backbone_config.size, pretrained=backbone_config.pretrained, rehead=True
        )
        make_optical(transformer.backbone, model.hybrid, config.optics.diffraction, shape)
        misalign(transformer, config.specimen)
        return transformer
    weights = backbone_config.pretrained if pretrained or backbone_config.name not in SIZES else None
    backbone = build_backbone(backbone_config.name, pretrained=weights)
    if backbone_config.frozen is not None:  # before there are optical stages, which have everything to learn
        backbone.freeze(backbone_config.frozen, norms=backbone_config.pretrained is not None)
    make_optical(backbone, model.hybrid, config.optics.diffraction, shape)
    detector = Detector(backbone, classes, model.head)
    misalign(detector, config.specimen)
    return detector
