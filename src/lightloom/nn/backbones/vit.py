"""A plain vision transformer as a backbone: blocks at one resolution, then a pyramid made of the last map alone.

Source: Li et al., "Exploring plain vision transformer backbones for object detection", ECCV 2022.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from lightloom.common.errors import RequestError
from lightloom.nn.backbones.backbone import Backbone


class VisionTransformer(Backbone):
    """Patches, blocks, and a simple feature pyramid with four levels; `stages` are the blocks.

    Args:
        stem: From images to patches [B, width, H / patch, W / patch].
        blocks: Each from a map of patches to one of the same shape.
        width: Channels of the last block, and of every level.
        patch: Pixels along one side of a patch, a multiple of 4.
    """

    def __init__(self, stem: nn.Module, blocks: Sequence[nn.Module], width: int, patch: int) -> None:
        strides = (patch // 4, patch // 2, patch, 2 * patch)
        super().__init__(stem, blocks, (width,) * len(strides), strides)
        self.pyramid = SimplePyramid(width)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """[B, 3, H, W], standardised -> four maps, from a quarter of the patch to twice the patch."""
        x = self.stem(images)
        for block in self.stages:
            x = block(x)
        maps: tuple[Tensor, ...] = self.pyramid(x)
        return maps


class ViTBlock(nn.Module):
    """A block of `transformers`, as one that gives a tensor and not a tuple.

    Args:
        layer: A `VitDetLayer`.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, h, w] -> the same shape."""
        output: Tensor = self.layer(x)[0]
        return output


class ChannelNorm(nn.LayerNorm):
    """Layer norm over the channels of a map [B, C, h, w], point by point."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] -> the same shape."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SimplePyramid(nn.Module):
    """Four levels of one map: twice enlarged, enlarged, as it is, and halved.

    Args:
        width: Channels of the map and of every level.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(width, eps=1e-6)
        self.fpn1 = nn.Sequential(
            OrderedDict(
                up1=nn.ConvTranspose2d(width, width, 2, 2),
                norm=ChannelNorm(width, eps=1e-6),
                gelu=nn.GELU(),
                up2=nn.ConvTranspose2d(width, width, 2, 2),
            )
        )
        self.fpn2 = nn.ConvTranspose2d(width, width, 2, 2)
        self.fpn3 = nn.Identity()
        self.fpn4 = nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """[B, width, h, w] -> maps of 4 h, 2 h, h and h / 2 rows."""
        x = self.norm(x)
        return self.fpn1(x), self.fpn2(x), self.fpn3(x), self.fpn4(x)


def plain_weights(state: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """The weights of a `ViTModel` or `ViTMAEModel` of `transformers`, under the names that `VitDetModel` has for them.

    Query, key and value become one matrix. The class token and the last norm have no place in a backbone.

    Args:
        state: Weights by name.
        blocks: How many blocks the model has.

    Raises:
        RequestError: A weight is missing.
    """
    names = {"embeddings.position_embeddings": "embeddings.position_embeddings"}
    for end in ("weight", "bias"):
        names[f"embeddings.projection.{end}"] = f"embeddings.patch_embeddings.projection.{end}"
        for block in range(blocks):
            for own, other in _BLOCK.items():
                names[f"encoder.layer.{block}.{own}.{end}"] = f"layers.{block}.{other}.{end}"
    try:
        weights = {own: state[other] for own, other in names.items()}
        for block in range(blocks):
            for end in ("weight", "bias"):
                parts = [state[f"layers.{block}.attention.{name}_proj.{end}"] for name in "qkv"]
                weights[f"encoder.layer.{block}.attention.qkv.{end}"] = torch.cat(parts)
    except KeyError as error:
        raise RequestError(
            f"The checkpoint lacks {error}; give one of a ViT with {blocks} blocks and biases."
        ) from None
    return weights


_BLOCK = {
    "norm1": "layernorm_before",
    "norm2": "layernorm_after",
    "attention.proj": "attention.o_proj",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
