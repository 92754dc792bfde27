"""New detectors of `transformers`: their configs, tiny and published, and where their weights start."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

PRIOR = 0.01
"""Score of every class at the start, as published for all of the families."""

_WIDTHS = (16, 32, 64, 96)
_SHARED: dict[str, Any] = {
    "d_model": 64,
    "num_queries": 50,
    "encoder_ffn_dim": 128,
    "decoder_ffn_dim": 128,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
}
_HYBRID: dict[str, Any] = {
    **_SHARED,
    "encoder_hidden_dim": 64,
    "encoder_in_channels": list(_WIDTHS[1:]),
    "decoder_in_channels": [64] * 3,
    "hidden_expansion": 0.5,
    "num_denoising": 20,
    "freeze_backbone_batch_norms": False,
}
_RESNET: dict[str, Any] = {
    "embedding_size": 16,
    "hidden_sizes": list(_WIDTHS),
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "out_indices": [2, 3, 4],
}


def rt_detr_v2(library: Any) -> Any:
    """RT-DETRv2 on a small ResNet."""
    return _as_linear(library.RTDetrV2Config(backbone_config=library.RTDetrResNetConfig(**_RESNET), **_HYBRID))


def d_fine(library: Any) -> Any:
    """D-FINE on a small HGNetV2."""
    backbone = library.HGNetV2Config(
        stem_channels=[3, 16, 16],
        stage_in_channels=[16, *_WIDTHS[:3]],
        stage_mid_channels=[16, 16, 32, 32],
        stage_out_channels=list(_WIDTHS),
        stage_num_blocks=[1, 1, 1, 1],
        stage_numb_of_layers=[2, 2, 2, 2],
        hidden_sizes=list(_WIDTHS),
        depths=[1, 1, 1, 1],
        out_indices=[2, 3, 4],
    )
    config = library.DFineConfig(
        backbone_config=backbone, depth_mult=0.34, max_num_bins=16, decoder_n_points=[3, 3, 3], **_HYBRID
    )
    return _as_linear(config)


def deformable_detr(library: Any) -> Any:
    """Deformable DETR on a small ResNet, with box refinement."""
    return library.DeformableDetrConfig(
        backbone_config=library.ResNetConfig(**_RESNET),
        encoder_layers=2,
        num_feature_levels=3,
        with_box_refine=True,
        auxiliary_loss=True,
        **_SHARED,
    )


def published(library: Any, model_type: str) -> Any:
    """The sizes that a family was published with: RT-DETRv2 and Deformable DETR on ResNet-50, D-FINE-L on HGNetV2.

    Args:
        library: The module `transformers`.
        model_type: Name of the family there.
    """
    if model_type == "deformable_detr":
        backbone = library.ResNetConfig(out_indices=[2, 3, 4])
        return library.DeformableDetrConfig(backbone_config=backbone, with_box_refine=True, auxiliary_loss=True)
    config = library.AutoConfig.for_model(model_type, freeze_backbone_batch_norms=False)
    return _as_linear(config)


def _as_linear(config: Any) -> Any:
    """The config with weights as wide as a linear layer of torch has them at the start; its own are for fine-tuning."""
    config.initializer_range = (3 * config.d_model) ** -0.5
    config.initializer_bias_prior_prob = PRIOR
    return config


@torch.no_grad()
def start(library: Any, model: Any) -> None:
    """Put a new model where its authors start, as far as the constructor of `transformers` does not.

    Batch norms of RT-DETRv2 come with weights around 0. Deformable DETR comes with a backbone that is frozen whole,
    norms included, which is of use for a pretrained one only; without a prior of its scores; and with boxes that start
    anywhere.

    Args:
        library: The module `transformers`.
        model: A new model, changed in place.
    """
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
    if model.config.model_type == "deformable_detr":
        model.model.backbone.model = library.AutoBackbone.from_config(model.config.backbone_config)
        for layer in model.class_embed:
            nn.init.constant_(layer.bias, -math.log((1 - PRIOR) / PRIOR))
        for level, head in enumerate(model.bbox_embed):
            last = head.layers[-1]
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
            if level == 0:
                nn.init.constant_(last.bias[2:], -2.0)
