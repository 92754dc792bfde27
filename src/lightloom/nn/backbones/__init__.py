"""Backbones of detectors, and optical stages in them.

>>> from lightloom import chips
>>> from lightloom.nn.backbones import HybridConfig, build_backbone, replace_stages
>>> backbone = build_backbone("regnetx-800mf")
>>> hybrid = HybridConfig(stages=(3,), channels=(256,))
>>> replace_stages(backbone, chips.diffractive("phoenix"), hybrid, sample_shape=(416, 704))
"""

from lightloom.nn.backbones.backbone import Backbone
from lightloom.nn.backbones.blocks import FeatureNoise, OpticalBlock, OpticalStage
from lightloom.nn.backbones.build import build_backbone
from lightloom.nn.backbones.config import HybridConfig
from lightloom.nn.backbones.families import KINDS, SIZES
from lightloom.nn.backbones.fit import fit_chip
from lightloom.nn.backbones.inherit import load_electronic
from lightloom.nn.backbones.optical import replace_stages
from lightloom.nn.backbones.vit import VisionTransformer
from lightloom.nn.backbones.vit_optical import OpticalViTBlock, replace_blocks

__all__ = [
    "KINDS",
    "SIZES",
    "Backbone",
    "FeatureNoise",
    "HybridConfig",
    "OpticalBlock",
    "OpticalStage",
    "OpticalViTBlock",
    "VisionTransformer",
    "build_backbone",
    "fit_chip",
    "load_electronic",
    "replace_blocks",
    "replace_stages",
]
