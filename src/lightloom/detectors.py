"""The scenes of a detection run, and its detector, as the config asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from lightloom.chips import DiffractiveChip, diffractive
from lightloom.common.errors import RequestError
from lightloom.common.seeds import named_seed
from lightloom.config import RunConfig, ScenesConfig
from lightloom.data.detection import FramedSet, Problem, frame, load_detection
from lightloom.nn import misalign
from lightloom.nn.backbones import (
    FeatureNoise,
    VisionTransformer,
    build_backbone,
    replace_blocks,
    replace_stages,
)
from lightloom.tasks.detect2d import Detector
from lightloom.tasks.detect2d.transformers import TransformersDetector, build_transformers_detector

AnyDetector = Detector | TransformersDetector

_PUBLISHED = ("phoenix-stage0", "phoenix-stage1", "phoenix-stage2", "phoenix")


class Scenes(NamedTuple):
    """Framed images with boxes, ready to train on."""

    train: FramedSet
    validation: FramedSet
    test: FramedSet
    classes: tuple[str, ...]
    problems: tuple[Problem, ...]
    """What was wrong with the files, and what became of it."""


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
        flaws=wanted.flaws,
        decode=wanted.decode,
        count=wanted.count,
        size=size,
    )
    train, validation, test = (
        frame(part, wanted.height, wanted.width) for part in (splits.train, splits.validation, splits.test)
    )
    for part in (train, validation, test):
        if not (part.labels[..., 4] >= 0).any():
            raise RequestError(
                f"No image of `{part.source.name}` has a box, so there is nothing to learn or to measure there; "
                "mend its annotations, or leave that split away."
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
        _make_optical(found.backbone, config)
        misalign(found, config.specimen)
        return found
    backbone = build_backbone(wanted.name, pretrained=wanted.pretrained)
    if wanted.frozen is not None:  # before there are optical stages, which have everything to learn
        backbone.freeze(wanted.frozen, norms=wanted.pretrained is not None)
    _make_optical(backbone, config)
    detector = Detector(backbone, classes, config.detect.head)
    misalign(detector, config.specimen)
    return detector


def _make_optical(backbone: nn.Module, config: RunConfig) -> None:
    light, scenes = config.detect.hybrid, config.detect.scenes
    if not light.stages:
        return
    shared: dict[str, Any] = {
        "sample_shape": (scenes.height, scenes.width),
        "mixing": light.mixing,
        "groups": light.groups,
        "bias": light.bias,
        "memory_mb": light.memory_mb,
        "fit": light.fit == "map",
        "noise": FeatureNoise(light.noise_std, light.noise_fraction) if light.noise_std else None,
    }
    if isinstance(backbone, VisionTransformer):
        _make_blocks_optical(backbone, config, shared)
        return
    replace_stages(
        backbone,
        light.stages,
        _chips(config),
        channels=light.channels,
        layers=light.layers,
        blocks=light.blocks,
        before_downsample=light.before_downsample,
        **shared,
    )


def _make_blocks_optical(backbone: VisionTransformer, config: RunConfig, shared: dict[str, Any]) -> None:
    """The blocks that are named become one optical block, as published."""
    light, chip = config.detect.hybrid, config.optics.diffraction
    several = light.channels is not None and len(set(light.channels)) > 1
    if light.blocks != 1 or not light.before_downsample or several:
        raise RequestError(
            "Blocks of a ViT become one optical block without a stride: leave `detect.hybrid.blocks` and "
            "`.before_downsample` as they are, and give all `.channels` the same number."
        )
    if light.fit == "published":
        size = diffractive("phoenix-vit")
        chip = chip.replace(grid=size.grid, mask=size.mask, layers=size.layers)
    if light.channels:
        shared |= {"channels": light.channels[0]}
    replace_blocks(backbone, light.stages, chip, layers=light.layers[0] if light.layers else None, **shared)


def _chips(config: RunConfig) -> DiffractiveChip | list[DiffractiveChip]:
    """One chip for all optical stages, or one for each with the grid, masks and layers published for that stage."""
    light, chip = config.detect.hybrid, config.optics.diffraction
    if light.fit != "published":
        return chip
    sizes = [diffractive(_PUBLISHED[min(stage, len(_PUBLISHED) - 1)]) for stage in light.stages]
    return [chip.replace(grid=size.grid, mask=size.mask, layers=size.layers) for size in sizes]
