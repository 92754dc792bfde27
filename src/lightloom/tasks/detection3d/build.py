"""The moments of a multi-camera run, and its detector, as the config asks for them."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import NamedTuple

import torch

from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.data.detection import Problem
from lightloom.data.multicamera import BEVRange, MultiCameraSet, letterbox_samples, load_multicamera
from lightloom.data.nuscenes import Sample
from lightloom.nn import misalign, put_on_chip
from lightloom.nn.backbones import SIZES, build_backbone
from lightloom.tasks.detection3d.config import Detection3DConfig, MultiCameraDataConfig
from lightloom.tasks.detection3d.detector import Detector3D
from lightloom.tasks.hybrid.backbone import make_optical

_LOG = logging.getLogger("lightloom")


class MultiCameraData(NamedTuple):
    """Letterboxed samples with boxes, ready to train on."""

    train: MultiCameraSet
    validation: MultiCameraSet
    test: MultiCameraSet
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    """What was wrong with the set, and what became of it."""


@lru_cache(maxsize=1)  # the samples of a training stay for the next one, which mostly has the same
def read_multicamera_data(
    data_config: MultiCameraDataConfig, area: BEVRange, history: int, seed: int
) -> MultiCameraData:
    """Read, check and frame a multi-camera set.

    Args:
        data_config: Which, and the frame.
        area: Boxes with their centre outside are no targets.
        history: Samples of each view.
        seed: Draws the scenes that validate where a set does not say which.

    Raises:
        RequestError: There is no such set, its files are unfit, or a split has no box to learn or to measure.
    """
    splits = load_multicamera(
        data_config.name,
        data_config.root,
        version=data_config.version,
        cameras=data_config.cameras,
        limit=data_config.limit,
        seed=seed,
        town=data_config.town,
    )
    for problem in splits.problems:
        _LOG.warning("%s: %s (%s).", problem.where, problem.what, problem.done)

    def letterboxed(split: str, samples: tuple[Sample, ...]) -> MultiCameraSet:
        part = letterbox_samples(
            samples,
            splits.channels,
            (data_config.height, data_config.width),
            area=area,
            history=history,
            least_points=data_config.least_points,
        )
        if not (part.labels[..., -1] >= 0).any():
            raise RequestError(
                f"No sample of the split `{split}` of `{data_config.name}` has a box within {area}, so there is "
                "nothing to learn or to measure; widen `model.detector.area`, or mend its annotations."
            )
        return part

    return MultiCameraData(
        letterboxed("train", splits.train),
        letterboxed("validation", splits.validation),
        letterboxed("test", splits.test),
        splits.classes,
        splits.channels,
        splits.problems,
    )


def build_detector3d(config: Detection3DConfig, classes: int, *, pretrained: bool = True) -> Detector3D:
    """The detector of a config with first weights drawn from its seed; what of it is light or on a chip is so already.

    Args:
        config: Of the run, or of one case of it.
        classes: How many there are to tell apart.
        pretrained: Whether to read the backbone's weights that the config names; not where trained weights follow, and
            a named size says the shapes.
    """
    torch.manual_seed(named_seed(config.seed, "model"))
    model, backbone_config = config.model, config.model.backbone
    weights = backbone_config.pretrained if pretrained or backbone_config.name not in SIZES else None
    backbone = build_backbone(backbone_config.name, pretrained=weights)
    if backbone_config.frozen is not None:
        backbone.freeze(backbone_config.frozen, norms=backbone_config.pretrained is not None)
    shrink = model.detector.shrink
    shape = (config.data.height // shrink, config.data.width // shrink)
    make_optical(backbone, model.hybrid, config.optics.diffraction, shape)
    if model.converted:
        put_on_chip(backbone, config.chip, config.specimen, only=model.converted, inplace=True)
    detector = Detector3D(backbone, classes, model.detector)
    misalign(detector, config.specimen)
    return detector
