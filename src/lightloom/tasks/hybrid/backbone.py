"""Stages of an electronic backbone that light computes, as a config asks for them."""

from __future__ import annotations

from typing import Any

from torch import nn

from lightloom.chips import DiffractiveChip, diffractive
from lightloom.common.errors import RequestError
from lightloom.nn.backbones import FeatureNoise, VisionTransformer, replace_blocks, replace_stages
from lightloom.tasks.hybrid.config import HybridConfig

_PUBLISHED = ("phoenix-stage0", "phoenix-stage1", "phoenix-stage2", "phoenix")


def make_optical(backbone: nn.Module, light: HybridConfig, chip: DiffractiveChip, shape: tuple[int, int]) -> None:
    """Replace the stages, or blocks of a ViT, that are to be optical; in place.

    Args:
        backbone: Electronic.
        light: Which stages, and how.
        chip: Diffractive hardware.
        shape: Height and width of the images in pixels.

    Raises:
        RequestError: There is no such stage, or what is asked for does not fit the backbone.
    """
    if not light.stages:
        return
    shared: dict[str, Any] = {
        "sample_shape": shape,
        "mixing": light.mixing,
        "groups": light.groups,
        "bias": light.bias,
        "memory_mb": light.memory_mb,
        "fit": light.fit == "map",
        "noise": FeatureNoise(light.noise_std, light.noise_fraction) if light.noise_std else None,
    }
    if isinstance(backbone, VisionTransformer):
        _make_blocks_optical(backbone, light, chip, shared)
        return
    replace_stages(
        backbone,
        light.stages,
        _chips(light, chip),
        channels=light.channels,
        layers=light.layers,
        blocks=light.blocks,
        before_downsample=light.before_downsample,
        **shared,
    )


def _make_blocks_optical(
    backbone: VisionTransformer, light: HybridConfig, chip: DiffractiveChip, shared: dict[str, Any]
) -> None:
    """The blocks that are named become one optical block, as published."""
    several = light.channels is not None and len(set(light.channels)) > 1
    if light.blocks != 1 or not light.before_downsample or several:
        raise RequestError(
            "Blocks of a ViT become one optical block without a stride: leave `hybrid.blocks` and "
            "`.before_downsample` as they are, and give all `.channels` the same number."
        )
    if light.fit == "published":
        size = diffractive("phoenix-vit")
        chip = chip.replace(grid=size.grid, mask=size.mask, layers=size.layers)
    if light.channels:
        shared |= {"channels": light.channels[0]}
    replace_blocks(backbone, light.stages, chip, layers=light.layers[0] if light.layers else None, **shared)


def _chips(light: HybridConfig, chip: DiffractiveChip) -> DiffractiveChip | list[DiffractiveChip]:
    """One chip for all optical stages, or one for each with the grid, masks and layers published for that stage."""
    if light.fit != "published":
        return chip
    sizes = [diffractive(_PUBLISHED[min(stage, len(_PUBLISHED) - 1)]) for stage in light.stages]
    return [chip.replace(grid=size.grid, mask=size.mask, layers=size.layers) for size in sizes]
