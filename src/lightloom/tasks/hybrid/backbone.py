"""Stages of an electronic backbone that light computes, as a config asks for them."""

from __future__ import annotations

from torch import nn

from lightloom.chips import DiffractiveChip
from lightloom.nn.backbones import HybridConfig, VisionTransformer, replace_blocks, replace_stages


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
    if isinstance(backbone, VisionTransformer) and light.stages:
        replace_blocks(backbone, chip, light, sample_shape=shape)
    elif light.stages:
        replace_stages(backbone, chip, light, sample_shape=shape)
