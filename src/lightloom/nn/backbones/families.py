"""Families of backbones and their named sizes, as `transformers` builds them.

Sources: RegNet, Radosavovic et al., CVPR 2020; ResNet, He et al., CVPR 2016; ConvNeXt, Liu et al., CVPR 2022, and V2,
Woo et al., CVPR 2023; plain ViT for detection, Li et al., ECCV 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

Family = Literal["regnet-x", "regnet-y", "resnet", "convnext", "convnext-v2", "vit"]


class Kind(NamedTuple):
    """Where `transformers` keeps a family."""

    model_type: str
    config: str
    model: str
    stem: str
    """Name of the module before the stages."""
    fixed: Mapping[str, Any]
    """Keys of the config that make this family of that model."""
    stages: str = "encoder.stages"
    widths: str = "hidden_sizes"
    depths: str = "depths"
    """Keys of the config; a ViT has one width and one depth."""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "regnet-x": Kind("regnet", "RegNetConfig", "RegNetModel", "embedder", {"layer_type": "x"}),
        "regnet-y": Kind("regnet", "RegNetConfig", "RegNetModel", "embedder", {"layer_type": "y"}),
        "resnet": Kind("resnet", "ResNetConfig", "ResNetModel", "embedder", {}),
        "convnext": Kind("convnext", "ConvNextConfig", "ConvNextModel", "embeddings", {}),
        "convnext-v2": Kind("convnextv2", "ConvNextV2Config", "ConvNextV2Model", "embeddings", {}),
        "vit": Kind(
            "vitdet",
            "VitDetConfig",
            "VitDetModel",
            "embeddings",
            {},
            stages="encoder.layer",
            widths="hidden_size",
            depths="num_hidden_layers",
        ),
    }
)


class Size(NamedTuple):
    """A family with numbers."""

    family: Family
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    more: Mapping[str, Any]
    """Further keys of the family's config."""


def _vit(depth: int, *, window: int, heads: int, image: int, **more: Any) -> dict[str, Any]:
    """Attention within windows, and over all of the image in every third block."""
    return {
        "num_attention_heads": heads,
        "image_size": image,
        "window_size": window,
        "window_block_indices": [block for block in range(depth) if block % 3 != 2],
        "use_relative_position_embeddings": True,
        **more,
    }


SIZES: Mapping[str, Size] = MappingProxyType(
    {
        "regnetx-800mf": Size(
            "regnet-x", (64, 128, 288, 672), (1, 3, 7, 5), {"embedding_size": 32, "groups_width": 16}
        ),
        "regnety-800mf": Size(
            "regnet-y", (64, 128, 320, 768), (1, 3, 8, 2), {"embedding_size": 32, "groups_width": 16}
        ),
        "regnetx-tiny": Size("regnet-x", (24, 48, 96, 192), (1, 1, 2, 1), {"embedding_size": 16, "groups_width": 24}),
        "resnet-50": Size("resnet", (256, 512, 1024, 2048), (3, 4, 6, 3), {"embedding_size": 64}),
        "resnet-101": Size("resnet", (256, 512, 1024, 2048), (3, 4, 23, 3), {"embedding_size": 64}),
        "resnet-tiny": Size("resnet", (24, 48, 96, 192), (1, 1, 1, 1), {"embedding_size": 16, "layer_type": "basic"}),
        "convnext-tiny": Size("convnext", (96, 192, 384, 768), (3, 3, 9, 3), {"layer_scale_init_value": 1e-6}),
        "convnext-mini": Size("convnext", (24, 48, 96, 192), (1, 1, 2, 1), {"layer_scale_init_value": 0.1}),
        "convnext-v2-mini": Size("convnext-v2", (24, 48, 96, 192), (1, 1, 2, 1), {}),
        "vit-b": Size("vit", (768,), (12,), _vit(12, window=14, heads=12, image=1024, drop_path_rate=0.1)),
        "vit-tiny": Size("vit", (96,), (6,), _vit(6, window=7, heads=3, image=224)),
    }
)
